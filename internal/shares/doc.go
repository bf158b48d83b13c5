// SPDX-License-Identifier: Apache-2.0

// Package shares divides what is limited among those who need it, max-min fair: who needs
// less than a fair share gets all of it, and the others get the same. Places of series
// and groups, and spans, are divided first among owners, then among the groups of each,
// then among the series of each.
package shares
