// SPDX-License-Identifier: Apache-2.0

package sockopt

// CopyRule allows the kernel side to copy an option's value.
type CopyRule struct {
	Level int32
	Code  int32
	Max   uint16 // bytes worth copying
}

// CopyRules lists what may be copied out of the kernel on this architecture.
// Everything else may not: options without a known layout, numbers without a
// name, and a pair that to any one family means key material, even where it
// means something harmless to others, since the rules do not look at families.
func CopyRules() []CopyRule { return copyRules(thisArch) }

func copyRules(a arch) []CopyRule {
	var rules []CopyRule
	for i := 0; i < len(table); {
		rule := CopyRule{Level: table[i].level, Code: table[i].code}
		secret := false
		for ; i < len(table) && table[i].level == rule.Level && table[i].code == rule.Code; i++ {
			if e := &table[i]; e.arch == archAny || e.arch == a {
				secret = secret || e.layout == LayoutSecret
				rule.Max = max(rule.Max, e.layout.maxCopy())
			}
		}
		if !secret && rule.Max > 0 {
			rules = append(rules, rule)
		}
	}
	return rules
}
