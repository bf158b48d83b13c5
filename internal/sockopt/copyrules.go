// SPDX-License-Identifier: Apache-2.0

package sockopt

// CopyRule allows the BPF programs to copy the value of one option.
type CopyRule struct {
	Level int32  // second argument of getsockopt(2): SOL_SOCKET, IPPROTO_TCP, ...
	Code  int32  // third argument: SO_ERROR, TCP_INFO, ...
	Max   uint16 // bytes to copy at most, above 0
}

// CopyRules returns the options whose values may be copied out of the kernel,
// sorted by level and code, each pair once. Everything else is denied: options
// without a known layout, numbers without a name, and pairs that hold key material
// for any address family. A rule does not depend on the family.
func CopyRules() []CopyRule {
	var rules []CopyRule
	for i := 0; i < len(table); {
		rule := CopyRule{Level: table[i].level, Code: table[i].code}
		secret := false
		for ; i < len(table) && table[i].level == rule.Level && table[i].code == rule.Code; i++ {
			secret = secret || table[i].layout == LayoutSecret
			rule.Max = max(rule.Max, table[i].layout.maxCopy())
		}
		if !secret && rule.Max > 0 {
			rules = append(rules, rule)
		}
	}
	return rules
}
