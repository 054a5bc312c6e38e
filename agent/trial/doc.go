// Package trial tries a policy before anybody relies on it: whether what it answers is valid, the same each time, in time and in memory, what the
// guard rails would make of it, and how long it takes. Its author runs it by `millwright policy test` and `policy bench`.
package trial
