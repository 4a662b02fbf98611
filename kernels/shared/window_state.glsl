// The lanes of fse and huff in decode kernels: windows of 64 bits, refilled with words of 32 at most once for two symbols.
//
// variant: subgroup32.dot SUBGROUP=32 STREAMS=1 WORKGROUP=512 INT64=1 KHR_BALLOT=1 DOT=1
// variant: subgroup32.int64 SUBGROUP=32 STREAMS=1 WORKGROUP=512 INT64=1 KHR_BALLOT=1
// variant: subgroup32 SUBGROUP=32 STREAMS=2 WORKGROUP=256
// variant: subgroup64 SUBGROUP=64 STREAMS=2 WORKGROUP=256
// variant: subgroup16.dot SUBGROUP=16 STREAMS=1 WORKGROUP=256 INT64=1 KHR_BALLOT=1 DOT=1
// variant: subgroup16.int64 SUBGROUP=16 STREAMS=1 WORKGROUP=256 INT64=1 KHR_BALLOT=1
// variant: subgroup16 SUBGROUP=16 STREAMS=1 WORKGROUP=256
// variant: subgroup8 SUBGROUP=8 STREAMS=1 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 STREAMS=1 WORKGROUP=64
// variant: shared SHARED=1 STREAMS=1 WORKGROUP=64

#define WORD uint
#define PAYLOAD_WORD(i) payload[i]
#define SEED 4u
// A word a pair.
#define TILE_WORDS 64u

#ifdef INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif

struct Window {
    // A lane's bits are the highest of high:low.
    uint low, high;
    // Bits consumed so far, in the low six bits, and what was in them before the last pair: where they differ in bit 5, low has been
    // consumed. (Entries are added as they are: what is above their lengths is above the six bits.)
    uint taken, before;
    // Of fse, as its kernel keeps it.
    uint cell;
};
#define STATE Window

#include "decoding.glsl"

// What a coder defines. The entry of the next symbol, given the bits from `bits` on, which it removes. The low 6 bits of an entry
// say how many these are.
uint take_symbol(inout Window x, inout uint bits);
// The symbols of two entries, as four_symbols wants them.
uint two_symbols(uint first, uint second);
// CELL_BITS bits of an initial state hold a cell. Whether there is such a cell; as a lane keeps it; whether a lane has that
// of a final state.
#define MIN_BITS (16u - CELL_BITS)
bool has_cell(uint cell);
uint first_cell(uint cell);
bool is_last_cell(uint cell);

Window no_state() { return Window(0u, 0u, 0u, 0u, 0u); }

bool read_state(uint place, uint lane, out Window x) {
    uint at = place / 2u;
    uint low = payload[at + lane];
    uint half_word = payload[at + 32u + lane / 2u] >> 16u * (lane & 1u) & 0xffffu;
    uint high = half_word >> CELL_BITS;
    uint cell = half_word & (1u << CELL_BITS) - 1u;
    // The highest bit marks the end of the others.
    uint count = high != 0u ? 32u + findMSB(high) : low != 0u ? findMSB(low) : 0u;
    bool possible = count >= MIN_BITS && has_cell(cell);
    if (!possible) {
        x = no_state();
        return false;
    }
    x.cell = first_cell(cell);
    // At least 17, since there are at most 47 bits. The mark leaves the window by its upper end.
    x.taken = 64u - count;
    x.before = 0u;
    uint shift = x.taken & 31u;
    bool both = count > 32u;
    x.high = both ? high << shift | low >> 32u - shift : low << shift;
    x.low = both ? low << shift : 0u;
    return true;
}

uint first_word(uint place) { return place / 2u + 48u; }

uint end_word(uint place) { return place / 2u; }

// The low 32 bits of the window from the next one on.
uint next_bits(Window x) {
#ifdef INT64
    return uint((uint64_t(x.high) << 32 | uint64_t(x.low)) >> (x.taken & 31u));
#else
    uint shift = x.taken & 31u;
    return x.low >> shift | x.high << 1u << 31u - shift;
#endif
}

void decode_pair(const bool checked, uint s, uint limit, inout Stream stream, out uint pair[LANES]) {
    bool need[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        bool live = !checked || 4u * lane(j) + s < limit;
        need[j] = ((stream.x[j].taken ^ stream.x[j].before) & 32u) != 0u && live;
    }
    uint at[LANES];
    claim(stream.p, need, at);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        Window x = stream.x[j];
        // Loaded whether needed or not: that takes fewer instructions than a branch.
        uint word = !checked || at[j] < stream.end ? payload[at[j] / UNIT] : 0u;
        x.low = need[j] ? x.high : x.low;
        x.high = need[j] ? word : x.high;
        uint bits = next_bits(x);
        x.before = x.taken;
        uint first = take_symbol(x, bits);
        Window single = x;
        uint second = take_symbol(x, bits);
        if (!checked || 4u * lane(j) + s + 1u < limit) {
            x.taken += first + second;
            pair[j] = two_symbols(first, second);
            stream.x[j] = x;
        } else if (4u * lane(j) + s < limit) {
            single.taken += first;
            pair[j] = two_symbols(first, 0u);
            stream.x[j] = single;
        } else {
            pair[j] = 0u;
        }
    }
}

bool final_state(Window x, out uint seed) {
    seed = x.high;
    return ((x.taken ^ x.before) & 32u) != 0u && (x.taken & 31u) == 0u && is_last_cell(x.cell);
}
