#version 450
// Decodes blocks coded with rans.
//
// variant: subgroup32.ballot SUBGROUP=32 STREAMS=1 WORKGROUP=512 STORAGE16=1 KHR_BALLOT=1 INT8=1
// variant: subgroup32.16bit SUBGROUP=32 STREAMS=2 WORKGROUP=256 STORAGE16=1
// variant: subgroup32 SUBGROUP=32 STREAMS=2 WORKGROUP=256
// variant: subgroup64.16bit SUBGROUP=64 STREAMS=2 WORKGROUP=256 STORAGE16=1
// variant: subgroup64 SUBGROUP=64 STREAMS=2 WORKGROUP=256
// variant: subgroup16.16bit SUBGROUP=16 STREAMS=1 WORKGROUP=256 STORAGE16=1 INT8=1
// variant: subgroup16 SUBGROUP=16 STREAMS=1 WORKGROUP=256
// variant: subgroup8.16bit SUBGROUP=8 STREAMS=1 WORKGROUP=128 STORAGE16=1 INT8=1
// variant: subgroup8 SUBGROUP=8 STREAMS=1 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 STREAMS=1 WORKGROUP=64
// variant: shared SHARED=1 STREAMS=1 WORKGROUP=64

#ifdef STORAGE16
#extension GL_EXT_shader_16bit_storage : require
#define WORD uint16_t
#define PAYLOAD_WORD(i) uint(payload[i])
#else
#define WORD uint
#define PAYLOAD_WORD(i) bitfieldExtract(payload[(i) >> 1], int((i) << 4 & 16u), 16)
#endif
#define CODER CODER_RANS
#define PAYLOAD_ACCESS
// At least 2^16 before and after each symbol.
#define STATE uint
#define WORD_BITS 16u
#define LEAST 16u
#define PLANES 4u
#define SEED 2u
#define TILE_WORDS 128u
// 1: a byte a slot, its symbol, and a word a symbol. A third of the memory and one look-up more: for tables that would leave a
// multiprocessor too few workgroups. Only in variants that have bytes.
layout(constant_id = 2) const uint COMPACT = 0u;
// What words are counted in: lanes.glsl.
layout(constant_id = 3) const uint UNIT = 1u;
#define UNIT UNIT
#ifdef INT8
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#define TABLE_WORDS (COMPACT > 0u ? 256u : 1u << MAX_TABLE_LOG)
#endif
#include "decoding.glsl"

#ifdef INT8
shared uint8_t symbols[COMPACT > 0u ? 1u << MAX_TABLE_LOG : 4u];
#endif

// Entries: (slot - cum) << 20 | symbol << 12 | f; compact ones of symbols: cum << 16 | f.
void put_slot(uint four, uint i, Run owner) {
    uint slot = 4u * four + i;
    uint f = owner.end - owner.first;
#ifdef INT8
    if (COMPACT > 0u) {
        symbols[slot] = uint8_t(owner.symbol);
        if (slot == owner.first) table[owner.symbol] = owner.first << 16 | f;
        return;
    }
#endif
    table[slot] = slot - owner.first << 20 | owner.symbol << 12 | f;
}

void fill_table() { put_slots(); }

uint no_state() { return 0x10000u; }

uint payload_bits(uint place) { return PAYLOAD_WORD(place) | PAYLOAD_WORD(place + 1u) << 16; }

uint cell_bits() { return 0u; }

uint read_state(uint string, uint at, uint length) { return 1u << length | string_bits(string, at, length); }

// Takes a symbol off a state. Returns its entry, or if compact the symbol.
uint take_symbol(inout uint x) {
    uint slot = x & (1u << table_log) - 1u;
#ifdef INT8
    if (COMPACT > 0u) {
        uint symbol = uint(symbols[slot]);
        uint entry = table[symbol];
        x = (entry & 0xffffu) * (x >> table_log) + slot - (entry >> 16);
        return symbol;
    }
#endif
    uint entry = table[slot];
    x = (entry & 0xfffu) * (x >> table_log) + (entry >> 20);
    return entry;
}

uint two_symbols(uint first, uint second) {
#ifdef INT8
    if (COMPACT > 0u) return first | second << 8;
#endif
    // In the bits 12 to 27, any bits beside them.
    return first & 0xff000u | second << 8 & ~0xff000u;
}

uint four_symbols(uint first, uint second) {
#ifdef INT8
    if (COMPACT > 0u) return first | second << 16;
#endif
    return first >> 12 & 0xffffu | second << 4 & ~0xffffu;
}

// Decodes a symbol on each lane, the first of them if checked. Returns what take_symbol did, 0 for lanes without a symbol.
uint[LANES] decode_step(const bool checked, uint s, uint limit, inout Stream stream) {
    uint taken[LANES];
    bool need[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        bool live = !checked || 4u * lane(j) + s < limit;
        uint x = stream.x[j];
        uint symbol = take_symbol(x);
        taken[j] = live ? symbol : 0u;
        stream.x[j] = live ? x : stream.x[j];
        need[j] = x < 0x10000u && live;
    }
    uint at[LANES];
    claim(stream.p, need, at);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (need[j]) {
            uint word = !checked || at[j] < stream.end ? PAYLOAD_WORD(at[j] / UNIT) : 0u;
            stream.x[j] = stream.x[j] << 16 | word;
        }
    }
    return taken;
}

void decode_pair(const bool checked, uint s, uint limit, inout Stream stream, out uint pair[LANES]) {
    uint first[LANES] = decode_step(checked, s, limit, stream);
    uint second[LANES] = decode_step(checked, s + 1u, limit, stream);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        pair[j] = two_symbols(first[j], second[j]);
    }
}

bool final_state(uint x, out uint seed) {
    seed = x & 0xffffu;
    return x >> 16 == 1u;
}
