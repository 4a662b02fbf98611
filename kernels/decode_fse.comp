#version 450
// Decodes blocks coded with fse.

#define CODER CODER_FSE
// A lane's cell and its stack.
#define STATE uvec2
// The table is filled before there are tails.
#define LEAST_TAILS 1024u
#define SPREAD(i) tails[i]
#include "decoding.glsl"
#include "spread.glsl"

void keep_symbols(uint four, uvec4 symbols) {
    [[unroll]] for (uint i = 0u; i < 4u; i++) table[4u * four + i] = symbols[i];
}

uvec4 kept_symbols(uint four) {
    return uvec4(table[4u * four], table[4u * four + 1u], table[4u * four + 2u], table[4u * four + 3u]);
}

// Entries: base << 16 | bits << 8 | symbol.
void put_cell(uint cell, uint symbol, uint y) {
    uint bits = table_log - uint(findMSB(y));
    uint base = (y << bits) - (1u << table_log);
    table[cell] = base << 16 | bits << 8 | symbol;
}

void fill_table() { spread(table_log); }

bool is_initial(uint word) { return word >= 0x10000u && (word & 0xffffu) < 1u << table_log; }

uvec2 initial_state(uint word) { return uvec2(word & ((1u << table_log) - 1u), word >> 16); }

uint look_up(uvec2 x) { return table[x.x]; }

bool take_symbol(inout uvec2 x, uint entry) { return x.y >> (entry >> 8 & 0xffu) == 0u; }

void take_word(inout uvec2 x, uint word) { x.y = x.y << 16 | word; }

void finish_symbol(inout uvec2 x, uint entry) {
    uint bits = entry >> 8 & 0xffu;
    x = uvec2((entry >> 16) + (x.y & ((1u << bits) - 1u)), x.y >> bits);
}

uint seed_of(uvec2 x) { return x.x << 15 | x.y & 0x7fffu | (~x.y & 0x8000u) << 1; }
