// The encoders' windows (docs/FORMAT.md, 2.5). The highest 32 bits of a window's number are the next word; below them it holds
// at most 32 more. A coder defines the type of a lane's state, STATE, of which `window` is a member, and what encoding.glsl wants, but for what
// is here.
//
// variant: subgroup32.dot SUBGROUP=32 WORKGROUP=512 INT64=1 INT16=1 KHR_BALLOT=1 DOT=1
// variant: subgroup32.int64 SUBGROUP=32 WORKGROUP=512 INT64=1 INT16=1 KHR_BALLOT=1
// variant: subgroup32 SUBGROUP=32 WORKGROUP=256
// variant: subgroup64 SUBGROUP=64 WORKGROUP=256
// variant: subgroup16.dot SUBGROUP=16 WORKGROUP=256 INT64=1 INT16=1 KHR_BALLOT=1 DOT=1
// variant: subgroup16.int64 SUBGROUP=16 WORKGROUP=256 INT64=1 INT16=1 KHR_BALLOT=1
// variant: subgroup16 SUBGROUP=16 WORKGROUP=256
// variant: subgroup8 SUBGROUP=8 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 WORKGROUP=64
// variant: shared SHARED=1 WORKGROUP=64

#define WORD_BITS 32
// As measured with NVIDIA's driver (NOTES.md), as dot products were.
#ifdef DOT
#define UNIT 4u
#define SAME_BACK
#endif
#define SEED 4u
#define SYMBOLS 2u
#define PLANES 5u

#ifdef INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif

struct Window {
    uint word;
    // The bits below the word, with garbage above them, and how many more there is room for: at most 32, and before the first symbols, which
    // are in the word already, what 64 bits leave.
    uint low;
    uint room;
};

// Bits to be pushed, at most 24: the highest of `value`. Its low 8 bits may hold anything.
struct Bits {
    uint value;
    uint count;
};
#define BITS Bits

bool is_full(Window w, Bits bits) { return bits.count > w.room; }

// The high half of high:low << n, n below 32; one instruction where the compiler sees it.
uint shift_in(uint high, uint low, uint n) {
#ifdef INT64
    return uint((uint64_t(high) << 32 | uint64_t(low)) << n >> 32);
#else
    return high << n | low >> 1u >> 31u - n;
#endif
}

// The low half of high:low >> n, the same.
uint shift_out(uint high, uint low, uint n) {
#ifdef INT64
    return uint((uint64_t(high) << 32 | uint64_t(low)) >> n);
#else
    return low >> n | high << 1u << 31u - n;
#endif
}

void push(bool written, inout Window w, Bits bits) {
    // With `written` the low bits and the first of the new ones become the next word.
    uint word = shift_in(w.low, bits.value, w.room & 31u);
    w.word = written ? word : w.word;
    w.low = shift_in(w.low, bits.value, bits.count);
    // Below 32 once there are bits below the word.
    w.room = w.room - bits.count & 31u;
}

// Bits of the number, once the word is written if `written`.
uint count_of(Window w, bool written) { return (written ? 32u : 64u) - w.room; }

// The number, which has fewer than 48 bits, once the word is written if `written`. (In a lane without symbols all bits are in `low` or, where
// 32 bits are left for more, in the word; the other is 0.)
uvec2 bits_of(Window w, bool written) {
    uint count = 32u - w.room;
    uint low = w.low & ~0u >> (w.room & 31u);
    // Unless the word is written, fewer than 32 bits are below it.
    return written ? uvec2(low, 0u) : uvec2(w.word << (count & 31u) | low, (w.word >> 1) >> (31u - count & 31u));
}
