package inspect

import "os"

// legacyFiles name the tables of iptables-legacy that a namespace has, by family.
var legacyFiles = [2]struct{ program, file string }{{"iptables-legacy", "ip_tables_names"}, {"ip6tables-legacy", "ip6_tables_names"}}

// LegacyFiles are the paths of the files that name the tables of iptables-legacy, in the
// calling thread's namespace, IPv4's first. A file is there when the kernel has the old tables
// at all, and empty where the namespace has none.
func LegacyFiles() (paths []string) {
	for _, of := range legacyFiles {
		paths = append(paths, procNet+of.file)
	}
	return paths
}

// LegacyPrograms are those of iptables-legacy that have tables in the calling thread's
// namespace, IPv4's first. An ordinary user may not know, and is told of none.
func LegacyPrograms() (programs []string) {
	for i, path := range LegacyFiles() {
		if names, _ := os.ReadFile(path); len(names) > 0 {
			programs = append(programs, legacyFiles[i].program)
		}
	}
	return programs
}
