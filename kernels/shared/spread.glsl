// The cells of fse's tables: which symbol each has, and which of the symbol's cells it is. The includer has slots.glsl, and
// room for SPREAD_WORDS words of shared memory, word i of which is SPREAD(i). Here symbols go by the numbers that find_slot
// yields.

// The table is walked in 2^WALKS_LOG stretches at once, in fewer if they had less than eight cells.
#define WALKS_LOG 3u
#define WALKS (1u << WALKS_LOG)
// For each symbol, two stretches in a word: how often it has occurred before a stretch, and f, so that the next cell's y is
// found there.
#define SPREAD_WORDS (256u * WALKS / 2u)

// What the includer defines. The f of a symbol.
uint frequency(uint symbol);
// Calls count_cell for each cell, and keeps its symbol, in the low byte, unless KEPT_CELLS is defined.
void count_symbols();
// If it is: keeps the symbols of so many cells of each stretch, from number `from` of the stretch on.
void keep_symbols(uint from);
// What is kept of four neighbouring cells.
uvec4 kept_symbols(uint four);
// What becomes of a cell. y is f + i in the i-th cell of its symbol.
void put_cell(uint cell, uint kept, uint y);

// From a slot's cell to that of the next slot, and from a cell's slot to that of the next cell: their product is 1 modulo the
// number of cells, a power of two.
uint spread_step(uint table_log) { return (5u << table_log) / 8u + 3u; }
uint spread_inverse(uint table_log) {
    // By Newton's iteration: 3 bits, 6, 12.
    uint step = spread_step(table_log);
    uint inverse = step * (2u - step * step);
    return inverse * (2u - step * inverse);
}

// log2 of the cells of a stretch.
uint stretch_log(uint table_log) { return max(table_log - WALKS_LOG, 3u); }

// Adds 1 and returns the value before.
uint count_symbol(uint walk, uint symbol) {
    uint shift = 16u * (walk & 1u);
    return atomicAdd(SPREAD(256u * (walk / 2u) + symbol), 1u << shift) >> shift & 0xffffu;
}

void count_cell(uint cell, uint symbol) { count_symbol(cell >> stretch_log(table_log), symbol); }

// Calls put_cell for so many cells of each stretch.
void walk_cells(uint from, uint count) {
    uint stretch = stretch_log(table_log);
    for (uint walk = gl_LocalInvocationIndex; walk < 1u << table_log - stretch; walk += gl_WorkGroupSize.x) {
        uint first = (walk << stretch) + from;
        // Eight cells at once, so that one waits for memory while others do.
        for (uint cell = first; cell < first + count; cell += 8u) {
            uvec4 kept[2];
            uvec4 y[2];
            [[unroll]] for (uint i = 0u; i < 2u; i++) kept[i] = kept_symbols(cell / 4u + i);
            [[unroll]] for (uint i = 0u; i < 8u; i++) y[i / 4u][i % 4u] = count_symbol(walk, kept[i / 4u][i % 4u] & 0xffu);
            [[unroll]] for (uint i = 0u; i < 8u; i++) put_cell(cell + i, kept[i / 4u][i % 4u], y[i / 4u][i % 4u]);
        }
    }
}

// Calls put_cell for each of 2^table_log cells. Called in uniform control flow.
void spread() {
    uint own = gl_LocalInvocationIndex;
    for (uint i = own; i < SPREAD_WORDS; i += gl_WorkGroupSize.x) SPREAD(i) = 0u;
    barrier();
    count_symbols();
    barrier();
    for (uint symbol = own; symbol < 256u; symbol += gl_WorkGroupSize.x) {
        uint y = frequency(symbol);
        for (uint i = symbol; i < SPREAD_WORDS; i += 256u) {
            uint counts = SPREAD(i);
            uint next = y + (counts & 0xffffu);
            SPREAD(i) = next << 16 | y;
            y = next + (counts >> 16);
        }
    }
    barrier();
    uint length = 1u << stretch_log(table_log);
#ifdef KEPT_CELLS
    for (uint from = 0u; from < length; from += KEPT_CELLS) {
        keep_symbols(from);
        barrier();
        walk_cells(from, min(KEPT_CELLS, length));
        barrier();
    }
#else
    walk_cells(0u, length);
#endif
}
