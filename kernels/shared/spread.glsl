// The cells of fse's tables: which symbol each has, and which of the symbol's cells it is. The includer has slots.glsl, and
// room for SPREAD_WORDS words of shared memory, word i of which is SPREAD(i).

// The table is walked in this many stretches at once.
#define WALKS 8u
// For each symbol, two stretches in a word: how often it has occurred before a stretch, and f, so that the next cell's y is
// found there.
#define SPREAD_WORDS (256u * WALKS / 2u)

// What the includer defines: keeps the symbols of four neighbouring cells between the steps.
void keep_symbols(uint four, uvec4 symbols);
uvec4 kept_symbols(uint four);
// What becomes of a cell. y is f + i in the i-th cell of its symbol.
void put_cell(uint cell, uint symbol, uint y);

// Adds 1 and returns the value before.
uint count_symbol(uint walk, uint symbol) {
    uint shift = 16u * (walk & 1u);
    return atomicAdd(SPREAD(256u * (walk / 2u) + symbol), 1u << shift) >> shift & 0xffffu;
}

// Calls put_cell for each of 2^table_log cells. Called in uniform control flow.
void spread(uint table_log) {
    uint own = gl_LocalInvocationIndex;
    for (uint i = own; i < SPREAD_WORDS; i += gl_WorkGroupSize.x) SPREAD(i) = 0u;
    barrier();
    uint cells = 1u << table_log;
    uint stretch = cells / WALKS / 4u;
    // The multiplicative inverse of the step, by Newton's iteration: 3 bits, 6, 12.
    uint step = cells / 2u + cells / 8u + 3u;
    uint inverse = step * (2u - step * step);
    inverse *= 2u - step * inverse;
    // Four cells at once, so that one waits for memory while another does.
    for (uint four = own; four < cells / 4u; four += gl_WorkGroupSize.x) {
        uvec4 symbols;
        [[unroll]] for (uint i = 0u; i < 4u; i++) symbols[i] = find_slot((4u * four + i) * inverse & (cells - 1u));
        [[unroll]] for (uint i = 0u; i < 4u; i++) count_symbol(four / stretch, symbols[i]);
        keep_symbols(four, symbols);
    }
    barrier();
    for (uint symbol = own; symbol < 256u; symbol += gl_WorkGroupSize.x) {
        uint y = CUMS(symbol) & 0xffffu;
        for (uint i = symbol; i < SPREAD_WORDS; i += 256u) {
            uint counts = SPREAD(i);
            uint next = y + (counts & 0xffffu);
            SPREAD(i) = next << 16 | y;
            y = next + (counts >> 16);
        }
    }
    barrier();
    for (uint walk = own; walk < WALKS; walk += gl_WorkGroupSize.x) {
        for (uint four = walk * stretch; four < (walk + 1u) * stretch; four++) {
            uvec4 symbols = kept_symbols(four);
            uvec4 y;
            [[unroll]] for (uint i = 0u; i < 4u; i++) y[i] = count_symbol(walk, symbols[i]);
            [[unroll]] for (uint i = 0u; i < 4u; i++) put_cell(4u * four + i, symbols[i], y[i]);
        }
    }
}
