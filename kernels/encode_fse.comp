#version 450
// Encodes blocks with fse.

#define CODER CODER_FSE
#define LEAST 4u
#define MOST_TURN_TILES 6u
// Where a symbol has a quarter of the slots, what it costs in fact depends on its neighbours.
shared uint skewed;
#define MARGIN (skewed > 0u ? 288u : 128u)
#include "windows.glsl"

struct Lane {
    Window window;
    // Counted from 2^K on.
    uint cell;
};
#define STATE Lane
#include "encoding.glsl"

// The largest table log of the batch.
layout(constant_id = 1) const uint MAX_TABLE_LOG = 12u;

// For each symbol its cells in their order, those of s from number cum(s) on, counted from 2^K on; without 16-bit integers two in a
// word, which takes six instructions more.
#ifdef INT16
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
shared uint16_t cells[1u << MAX_TABLE_LOG];
void clear_cells() {}
uint load_cell(uint at) { return uint(cells[at]); }
void store_cell(uint at, uint cell) { cells[at] = uint16_t(cell); }
#else
shared uint cells[(1u << MAX_TABLE_LOG) / 2u];
void clear_cells() {
    for (uint i = gl_LocalInvocationIndex; i < (1u << MAX_TABLE_LOG) / 2u; i += gl_WorkGroupSize.x) cells[i] = 0u;
}
uint load_cell(uint at) { return bitfieldExtract(cells[at / 2u], int(16u * (at % 2u)), 16); }
void store_cell(uint at, uint cell) { atomicOr(cells[at / 2u], cell << 16u * (at % 2u)); }
#endif
#include "slots.glsl"
#include "cells.glsl"

// Of a symbol, what makes the bits that a state gives up the highest of their sum, and 2^12 + cum - f: see `encode_symbol`. Both in a word, as
// those of 32 lanes then take half the wavefronts.
shared uint table[256];
#define FIRST_BITS 13u
#define ABOVE_FIRST 4096u
#define BITS_AT (FIRST_BITS + 15u)

uint frequency(uint symbol) { return cums[symbol] & 0xffffu; }

// The cells of four neighbouring slots, whose symbols are searched at once, so that one waits for memory while another does.
void put_cells(uint four) {
    uvec4 symbols;
    [[unroll]] for (uint i = 0u; i < 4u; i++) symbols[i] = find_slot(4u * four + i);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint slot = 4u * four + i;
        uint first = cums[symbols[i]] >> 16;
        uint rank = cell_rank(four, i, first, first + frequency(symbols[i]));
        store_cell(first + rank, (1u << table_log) + (bitfieldReverse(slot) >> 32u - table_log));
    }
}

void fill_table(uint first) {
    clear_cells();
    if (gl_LocalInvocationIndex == 0u) skewed = 0u;
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) {
        uint cum_f = entries[first + i];
        uint f = cum_f & 0xffffu;
        cums[i] = cum_f;
        if (4u * f >> table_log > 0u) atomicOr(skewed, 1u);
        uint bits = table_log - uint(findMSB(max(f, 1u)));
        table[i] = (bits << 13) - (f << bits) << BITS_AT - 13u | ABOVE_FIRST + (cum_f >> 16) - f;
    }
    barrier();
    for (uint four = gl_LocalInvocationIndex; four < 1u << table_log - 2u; four += gl_WorkGroupSize.x) put_cells(four);
}

// A state gives up its low bits, as many as leave a number in f..2 f. Returns how many.
uint encode_symbol(inout uint cell, uint symbol) {
    uint entry = table[symbol];
    uint bits = entry + (cell << BITS_AT - 13u) >> BITS_AT;
    cell = load_cell((cell >> bits) + (entry & (1u << FIRST_BITS) - 1u) - ABOVE_FIRST);
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

// The cell holds the seed's highest bits and the window the others, with as many zeros above them as make it 33 bits with the first symbols.
Lane seeded_state(uint seed, uint quad, uint first, uint count) {
    Lane x = Lane(Window(seed & ~0u >> table_log, 0u, 32u), 1u << table_log | bitfieldReverse(seed) & (1u << table_log) - 1u);
    Lane ahead = x;
    Bits pair = look_up(ahead, quad, first, count);
    uint bits = max(32u - table_log, count == 0u ? 0u : 33u - pair.count);
    x.window.low = x.window.word;
    // The word begins with these bits, and with fewer than 32 goes on with the symbols'. Without any there is none.
    x.window.word = bits > 32u ? x.window.low >> 1 : shift_in(x.window.low, pair.value, 32u - bits & 31u);
    x.window.word = count > 0u ? x.window.word : 0u;
    x.window.room = 64u - bits;
    return x;
}

uint cell(Lane x) { return x.cell - (1u << table_log); }

uint cell_bits() { return table_log; }

uint cost(uint symbol) { return ans_cost(frequency(symbol)); }

#include "window_streams.glsl"
