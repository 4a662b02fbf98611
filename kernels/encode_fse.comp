#version 450
// Encodes blocks with fse.

#define CODER CODER_FSE
// A lane's cell, counted from 2^K on, and its stack.
#define STATE uvec2
#define ENTRY uvec2
#define MOST_CELLS 4096u
// The cells are spread before there are rings: their symbols, four in a word, and what spread.glsl wants.
#define LEAST_RINGS (MOST_CELLS / 4u + 1024u)
#define SPREAD(i) rings[MOST_CELLS / 4u + (i)]
#include "encoding.glsl"
#include "slots.glsl"
#include "spread.glsl"

// Of a symbol, what makes the bits that a state gives up the high half of their sum, and cum - f: see `put_symbol`.
shared uvec2 table[256];
// Two in a word: for each symbol its cells in ascending order, those of s from number cum(s) on, counted from 2^K on.
shared uint cells[MOST_CELLS / 2u];

void keep_symbols(uint four, uvec4 symbols) {
    rings[four] = symbols.x | symbols.y << 8 | symbols.z << 16 | symbols.w << 24;
}

uvec4 kept_symbols(uint four) { return uvec4(rings[four]) >> uvec4(0u, 8u, 16u, 24u) & 0xffu; }

void put_cell(uint cell, uint symbol, uint y) {
    uint at = table[symbol].y + y;
    atomicOr(cells[at / 2u], cell + (1u << table_log) << 16u * (at % 2u));
}

void fill_table(uint first) {
    for (uint i = gl_LocalInvocationIndex; i < MOST_CELLS / 2u; i += gl_WorkGroupSize.x) cells[i] = 0u;
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) {
        uint cum_f = entries[first + i];
        uint f = cum_f & 0xffffu;
        cums[i] = cum_f;
        uint bits = table_log - uint(findMSB(f));
        // Lanes without a symbol take an absent one: its 13 bits are all of a state.
        table[i] = f > 0u ? uvec2((bits << 16) - (f << bits), (cum_f >> 16) - f) : uvec2(13u << 16, 0u);
    }
    spread(table_log);
}

uvec2 seeded_state(uint seed) { return uvec2(1u << table_log | seed >> 15, 0x8000u | seed & 0x7fffu); }

uvec2 look_up(uint symbol) { return table[symbol]; }

// A state gives up its low bits, as many as leave a number in f..2 f.
bool put_symbol(inout uvec2 x, uvec2 entry) {
    uint bits = x.x + entry.x >> 16;
    x.y = x.y << bits | x.x & (1u << bits) - 1u;
    x.x >>= bits;
    return x.y >= 0x10000u;
}

uint give_word(inout uvec2 x) {
    uint word = x.y & 0xffffu;
    x.y >>= 16;
    return word;
}

void finish_symbol(inout uvec2 x, uvec2 entry) {
    uint at = x.x + entry.y;
    x.x = bitfieldExtract(cells[at / 2u], int(16u * (at % 2u)), 16);
}

uint initial_word(uvec2 x) { return x.y << 16 | x.x - (1u << table_log); }
