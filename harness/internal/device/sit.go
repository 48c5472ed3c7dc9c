package device

var sit = &Kind{Name: "sit", Quiet: true, Data: iptunData}
