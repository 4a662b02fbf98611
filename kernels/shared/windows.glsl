// The encoders' windows (docs/FORMAT.md, 2.5). The highest 32 bits of a window's number are the next word; below them it holds
// at most 32 more. A coder defines the type of a lane's state, STATE, of which `window` is a member; how many bits an
// initial state holds at most, MOST_INITIAL; and what encoding.glsl wants, but for what is here.
//
// variant: subgroup32.int64 SUBGROUP=32 WORKGROUP=512 INT64=1 INT16=1 KHR_BALLOT=1
// variant: subgroup32 SUBGROUP=32 WORKGROUP=256
// variant: subgroup64 SUBGROUP=64 WORKGROUP=256
// variant: subgroup16 SUBGROUP=16 WORKGROUP=256
// variant: subgroup8 SUBGROUP=8 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 WORKGROUP=64
// variant: shared SHARED=1 WORKGROUP=64

#define WORD_BITS 32
#define SEED 4u
#define SYMBOLS 2u
#define INITIAL_WORDS 48u

#ifdef INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif

struct Window {
    uint word;
    // The bits below the word, with garbage above them, and how many more there is room for, at most 32.
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

// The number with a bit above it that marks its end, once the word is written if `written`.
uvec2 marked(Window w, bool written) {
    uint count = 32u - w.room;
    uint low = count == 32u ? w.low : w.low & (1u << count) - 1u;
    if (written) return count == 32u ? uvec2(low, 1u) : uvec2(low | 1u << count, 0u);
    // Fewer than 32 bits are below the word.
    return uvec2(w.word << count | low, (w.word >> 1) >> (31u - count) | 1u << count);
}
