#version 450
// Encodes blocks with fse.

#define CODER CODER_FSE
#define MOST_INITIAL 36u
#include "windows.glsl"

struct Lane {
    Window window;
    // Counted from 2^K on.
    uint cell;
};
#define STATE Lane
#include "encoding.glsl"

#define MOST_CELLS 4096u
// Two in a word: for each symbol its cells in ascending order, those of s from number cum(s) on, counted from 2^K on.
shared uint cells[MOST_CELLS / 2u];
// While the cells are spread: their symbols, four in a word, and what spread.glsl wants.
shared uint spreading[MOST_CELLS / 4u + 1024u];
#define SPREAD(i) spreading[MOST_CELLS / 4u + (i)]
#include "slots.glsl"
#include "spread.glsl"

// Of a symbol, what makes the bits that a state gives up the high half of their sum, and cum - f: see `encode_symbol`.
shared uvec2 table[256];

uint frequency(uint symbol) { return cums[symbol] & 0xffffu; }

void keep_symbols() {
    uint last = (1u << table_log) - 1u;
    uint inverse = spread_inverse(table_log);
    // Four cells at once, so that one waits for memory while another does.
    for (uint four = gl_LocalInvocationIndex; four <= last / 4u; four += gl_WorkGroupSize.x) {
        uvec4 symbols;
        [[unroll]] for (uint i = 0u; i < 4u; i++) symbols[i] = find_slot((4u * four + i) * inverse & last);
        [[unroll]] for (uint i = 0u; i < 4u; i++) count_cell(4u * four + i, symbols[i]);
        spreading[four] = symbols.x | symbols.y << 8 | symbols.z << 16 | symbols.w << 24;
    }
}

uvec4 kept_symbols(uint four) { return uvec4(spreading[four]) >> uvec4(0u, 8u, 16u, 24u) & 0xffu; }

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
        uint bits = table_log - uint(findMSB(max(f, 1u)));
        table[i] = uvec2((bits << 16) - (f << bits), (cum_f >> 16) - f);
    }
    spread();
}

Lane seeded_state(uint seed) { return Lane(Window(seed, 0u, 32u), (2u << table_log) - 1u); }

// A state gives up its low bits, as many as leave a number in f..2 f.
Bits encode_symbol(inout uint cell, uint symbol) {
    uvec2 entry = table[symbol];
    uint bits = cell + entry.x >> 16;
    uint value = cell << 1u << 31u - bits;
    uint at = (cell >> bits) + entry.y;
    cell = bitfieldExtract(cells[at / 2u], int(16u * (at % 2u)), 16);
    return Bits(value, bits);
}

Bits look_up(inout Lane x, uint quad, uint first, uint count) {
    Bits low = Bits(0u, 0u);
    Bits high = Bits(0u, 0u);
    if (count > 1u) high = encode_symbol(x.cell, symbol(quad, first + 1u));
    if (count > 0u) low = encode_symbol(x.cell, symbol(quad, first));
    return Bits(high.value | low.value >> high.count, low.count + high.count);
}

uint high_half(Lane x, uint number) { return number << 12 | x.cell - (1u << table_log); }

#include "window_streams.glsl"
