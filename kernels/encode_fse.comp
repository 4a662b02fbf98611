#version 450
// Encodes blocks with fse.

#define CODER CODER_FSE
#define LEAST 4u
#define MARGIN 224u
#include "windows.glsl"

struct Lane {
    Window window;
    // Counted from 2^K on.
    uint cell;
};
#define STATE Lane
// While the cells are spread: what spread.glsl wants, and the symbols of some cells of each stretch, four in a word: with those of all
// cells a multiprocessor would hold fewer workgroups. Afterwards, what payload.glsl wants.
#define KEPT_CELLS 128u
#define OVERLAY_WORDS (1024u + 8u * KEPT_CELLS / 4u)
#include "encoding.glsl"

#define MOST_CELLS 4096u
// For each symbol its cells in ascending order, those of s from number cum(s) on, counted from 2^K on; without 16-bit integers two in a
// word, which takes six instructions more.
#ifdef INT16
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
shared uint16_t cells[MOST_CELLS];
void clear_cells() {}
uint load_cell(uint at) { return uint(cells[at]); }
void store_cell(uint at, uint cell) { cells[at] = uint16_t(cell); }
#else
shared uint cells[MOST_CELLS / 2u];
void clear_cells() {
    for (uint i = gl_LocalInvocationIndex; i < MOST_CELLS / 2u; i += gl_WorkGroupSize.x) cells[i] = 0u;
}
uint load_cell(uint at) { return bitfieldExtract(cells[at / 2u], int(16u * (at % 2u)), 16); }
void store_cell(uint at, uint cell) { atomicOr(cells[at / 2u], cell << 16u * (at % 2u)); }
#endif
#define SPREAD(i) memory[i]
#include "slots.glsl"
#include "spread.glsl"

// Of a symbol, what makes the bits that a state gives up the high half of their sum, and cum - f: see `encode_symbol`.
shared uvec2 table[256];

uint frequency(uint symbol) { return cums[symbol] & 0xffffu; }

// The symbols of four neighbouring cells, searched at once, so that one waits for memory while another does.
uvec4 find_symbols(uint four) {
    uint last = (1u << table_log) - 1u;
    uint inverse = spread_inverse(table_log);
    uvec4 symbols;
    [[unroll]] for (uint i = 0u; i < 4u; i++) symbols[i] = find_slot((4u * four + i) * inverse & last);
    return symbols;
}

void count_symbols() {
    for (uint four = gl_LocalInvocationIndex; four < 1u << table_log - 2u; four += gl_WorkGroupSize.x) {
        uvec4 symbols = find_symbols(four);
        [[unroll]] for (uint i = 0u; i < 4u; i++) count_cell(4u * four + i, symbols[i]);
    }
}

// Where four cells are kept: those of a stretch follow each other.
uint kept_place(uint four) {
    uint stretch = stretch_log(table_log);
    uint kept = min(KEPT_CELLS, 1u << stretch);
    return SPREAD_WORDS + (four >> stretch - 2u) * (KEPT_CELLS / 4u) + (four & kept / 4u - 1u);
}

void keep_symbols(uint from) {
    uint stretch = stretch_log(table_log);
    uint kept = min(KEPT_CELLS, 1u << stretch) / 4u;
    for (uint i = gl_LocalInvocationIndex; i < kept << table_log - stretch; i += gl_WorkGroupSize.x) {
        uint four = (i / kept << stretch) + from >> 2u | i % kept;
        uvec4 symbols = find_symbols(four);
        memory[kept_place(four)] = symbols.x | symbols.y << 8 | symbols.z << 16 | symbols.w << 24;
    }
}

uvec4 kept_symbols(uint four) { return uvec4(memory[kept_place(four)]) >> uvec4(0u, 8u, 16u, 24u) & 0xffu; }

void put_cell(uint cell, uint symbol, uint y) {
    store_cell(table[symbol].y + y, cell + (1u << table_log));
}

void fill_table(uint first) {
    clear_cells();
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

// A state gives up its low bits, as many as leave a number in f..2 f. Returns how many.
uint encode_symbol(inout uint cell, uint symbol) {
    uvec2 entry = table[symbol];
    uint bits = cell + entry.x >> 16;
    cell = load_cell((cell >> bits) + entry.y);
    return bits;
}

Bits look_up(inout Lane x, uint quad, uint first, uint count) {
    uint high = x.cell;
    uint high_bits = 0u;
    if (count > 1u) high_bits = encode_symbol(x.cell, symbol(quad, first + 1u));
    uint low = x.cell;
    uint low_bits = 0u;
    if (count > 0u) low_bits = encode_symbol(x.cell, symbol(quad, first));
    // Each symbol's bits highest first, those of the first symbol lowest: reversed, both one behind the other.
    uint reversed = shift_in(low, shift_out(high, 0u, high_bits), high_bits);
    return Bits(bitfieldReverse(reversed), low_bits + high_bits);
}

uint cell(Lane x) { return x.cell - (1u << table_log); }

uint cell_bits() { return table_log; }

uint cost(uint symbol) { return ans_cost(frequency(symbol)); }

#include "window_streams.glsl"
