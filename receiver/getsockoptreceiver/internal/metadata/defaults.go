// SPDX-License-Identifier: Apache-2.0

package metadata

// NewDefaultResourceAttributesConfig returns [DefaultResourceAttributesConfig]. The
// configuration that the mdatagen of tools/go.mod generates calls it by this name.
func NewDefaultResourceAttributesConfig() ResourceAttributesConfig {
	return DefaultResourceAttributesConfig()
}
