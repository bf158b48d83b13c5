// SPDX-License-Identifier: Apache-2.0

package metadata

// NewDefaultResourceAttributesConfig is the name under which the generated
// configuration asks for [DefaultResourceAttributesConfig], with the mdatagen of
// tools/go.mod.
func NewDefaultResourceAttributesConfig() ResourceAttributesConfig {
	return DefaultResourceAttributesConfig()
}
