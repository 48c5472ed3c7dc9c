package inspect

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

func readCmp(data ruleAttrs) (any, bool) {
	made, ok := new(expr.Cmp), true
	for kind, value := range data.all() {
		switch kind {
		case unix.NFTA_CMP_SREG:
			made.Register = value.uint32()
		case unix.NFTA_CMP_OP:
			made.Op = expr.CmpOp(value.uint32())
		case unix.NFTA_CMP_DATA:
			made.Data = value.first(unix.NFTA_DATA_VALUE)
		default:
			ok = false
		}
	}
	return made, ok
}

func readCounter(data ruleAttrs) (any, bool) {
	return &expr.Counter{
		Bytes: data.first(unix.NFTA_COUNTER_BYTES).uint64(), Packets: data.first(unix.NFTA_COUNTER_PACKETS).uint64(),
	}, true
}

func readMeta(data ruleAttrs) (any, bool) {
	made, ok := new(expr.Meta), true
	for kind, value := range data.all() {
		switch kind {
		case unix.NFTA_META_KEY:
			made.Key = expr.MetaKey(value.uint32())
		case unix.NFTA_META_DREG:
			made.Register = value.uint32()
		case unix.NFTA_META_SREG:
			made.Register, made.SourceRegister = value.uint32(), true
		default:
			ok = false
		}
	}
	return made, ok
}

func readPayload(data ruleAttrs) (any, bool) {
	made, ok := new(expr.Payload), true
	for kind, value := range data.all() {
		n := value.uint32()
		switch kind {
		case unix.NFTA_PAYLOAD_DREG:
			made.DestRegister = n
		case unix.NFTA_PAYLOAD_SREG:
			made.SourceRegister, made.OperationType = n, expr.PayloadWrite
		case unix.NFTA_PAYLOAD_BASE:
			made.Base = expr.PayloadBase(n)
		case unix.NFTA_PAYLOAD_OFFSET:
			made.Offset = n
		case unix.NFTA_PAYLOAD_LEN:
			made.Len = n
		case unix.NFTA_PAYLOAD_CSUM_TYPE:
			made.CsumType = expr.PayloadCsumType(n)
		case unix.NFTA_PAYLOAD_CSUM_OFFSET:
			made.CsumOffset = n
		case unix.NFTA_PAYLOAD_CSUM_FLAGS:
			made.CsumFlags = n
		default:
			ok = false
		}
	}
	return made, ok
}

func readLookup(data ruleAttrs) (any, bool) {
	made, ok := new(expr.Lookup), true
	for kind, value := range data.all() {
		switch kind {
		case unix.NFTA_LOOKUP_SET:
			made.SetName = value.text()
		case unix.NFTA_LOOKUP_SET_ID:
			made.SetID = value.uint32()
		case unix.NFTA_LOOKUP_SREG:
			made.SourceRegister = value.uint32()
		case unix.NFTA_LOOKUP_DREG:
			made.DestRegister, made.IsDestRegSet = value.uint32(), true
		case unix.NFTA_LOOKUP_FLAGS:
			made.Invert = value.uint32()&unix.NFT_LOOKUP_F_INV != 0
			ok = ok && value.uint32()&^unix.NFT_LOOKUP_F_INV == 0
		default:
			ok = false
		}
	}
	return made, ok
}

func readRange(data ruleAttrs) (any, bool) {
	return &expr.Range{
		Op:       expr.CmpOp(data.first(unix.NFTA_RANGE_OP).uint32()),
		Register: data.first(unix.NFTA_RANGE_SREG).uint32(),
		FromData: data.first(unix.NFTA_RANGE_FROM_DATA).first(unix.NFTA_DATA_VALUE),
		ToData:   data.first(unix.NFTA_RANGE_TO_DATA).first(unix.NFTA_DATA_VALUE),
	}, upTo(data, unix.NFTA_RANGE_TO_DATA)
}

// readImmediate reads a verdict, or data for a register.
func readImmediate(data ruleAttrs) (any, bool) {
	value := data.first(unix.NFTA_IMMEDIATE_DATA)
	if code := value.first(unix.NFTA_DATA_VERDICT); code != nil {
		return readVerdict(code), true
	}
	return &expr.Immediate{
		Register: data.first(unix.NFTA_IMMEDIATE_DREG).uint32(), Data: value.first(unix.NFTA_DATA_VALUE),
	}, upTo(data, unix.NFTA_IMMEDIATE_DATA)
}

func readVerdict(data ruleAttrs) *expr.Verdict {
	return &expr.Verdict{
		Kind:  expr.VerdictKind(int32(data.first(unix.NFTA_VERDICT_CODE).uint32())),
		Chain: data.first(unix.NFTA_VERDICT_CHAIN).text(),
	}
}

// readByteorder reads what google/nftables can only write.
func readByteorder(data ruleAttrs) (any, bool) {
	return &expr.Byteorder{
		SourceRegister: data.first(unix.NFTA_BYTEORDER_SREG).uint32(),
		DestRegister:   data.first(unix.NFTA_BYTEORDER_DREG).uint32(),
		Op:             expr.ByteorderOp(data.first(unix.NFTA_BYTEORDER_OP).uint32()),
		Len:            data.first(unix.NFTA_BYTEORDER_LEN).uint32(),
		Size:           data.first(unix.NFTA_BYTEORDER_SIZE).uint32(),
	}, upTo(data, unix.NFTA_BYTEORDER_SIZE)
}

// readBitwise reads what google/nftables reads without mask and xor, where the kernel
// does not say that those are nested. Shifts, and operations on two registers, are not
// known.
func readBitwise(data ruleAttrs) (any, bool) {
	const op = 6 // NFTA_BITWISE_OP; 0 is mask and xor
	return &expr.Bitwise{
		SourceRegister: data.first(unix.NFTA_BITWISE_SREG).uint32(),
		DestRegister:   data.first(unix.NFTA_BITWISE_DREG).uint32(),
		Len:            data.first(unix.NFTA_BITWISE_LEN).uint32(),
		Mask:           data.first(unix.NFTA_BITWISE_MASK).first(unix.NFTA_DATA_VALUE),
		Xor:            data.first(unix.NFTA_BITWISE_XOR).first(unix.NFTA_DATA_VALUE),
	}, upTo(data, op) && data.first(op).uint32() == 0
}

// readCt reads what google/nftables reads without the register that is set from.
func readCt(data ruleAttrs) (any, bool) {
	made := &expr.Ct{Key: expr.CtKey(data.first(unix.NFTA_CT_KEY).uint32()), Register: data.first(unix.NFTA_CT_DREG).uint32()}
	if direction := data.first(unix.NFTA_CT_DIRECTION); len(direction) > 0 {
		made.Direction = uint32(direction[0])
	}
	if from := data.first(unix.NFTA_CT_SREG); from != nil {
		made.SourceRegister, made.Register = true, from.uint32()
	}
	return made, upTo(data, unix.NFTA_CT_SREG)
}

// readReference reads a reference to a stateful object, by name or by map.
func readReference(data ruleAttrs) (any, bool) {
	const immType, immName, setRegister, setName = 1, 2, 3, 4 // NFTA_OBJREF_*
	if name := data.first(setName); name != nil {
		return &ObjectMap{Register: data.first(setRegister).uint32(), SetName: name.text()}, true
	}
	return &expr.Objref{Type: int(data.first(immType).uint32()), Name: data.first(immName).text()}, true
}
