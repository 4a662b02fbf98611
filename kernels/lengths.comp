#version 450
// Makes the code of each block for huff: lengths from counts, the table as written, and the encoder's entries. One workgroup
// a block; invocation t has the symbols 4 t to 4 t + 3. The lengths are coder::huffman's: package-merge, its lists merged
// in parallel.

#extension GL_EXT_control_flow_attributes : require
#define SCAN_SIZE 64u
layout(local_size_x = 64) in;

#include "encode.glsl"
#include "scan.glsl"
#include "serialise.glsl"
#include "canonical.glsl"

layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Histograms { uint histograms[]; };
layout(std430, binding = 2) writeonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) writeonly buffer Tables { uint tables[]; };
// 512 words a block, of which the first 256 are written: code << 8 | length, the code with its bits reversed.
layout(std430, binding = 4) writeonly buffer Entries { uint entries[]; };

#include "counts.glsl"

// The longest code when none is forced.
#define DEFAULT_LIMIT 11u

// Two regions of this size: one has the present symbols in ascending order, count << 8 | symbol, the other the sums of a list's pairs, sum << 8 | 0xff, which
// so come behind an item of the same count. Behind the sums one entry is END, behind the symbols eight are or more.
#define REGION 288u
#define END ~0u
shared uint nodes[2u * REGION + 2u * REGION / 32u];
// Of each list, how many items are among the entries that are taken.
shared uint items_taken[12];
shared uint longest;

// Where an entry is in nodes[]: those that neighbours read or write at once lie in different banks.
uint place(uint i) { return i + i / 32u; }

void clear_nodes() {
    for (uint i = gl_LocalInvocationIndex; i < nodes.length(); i += SCAN_SIZE) nodes[i] = END;
}

void order(inout uint low, inout uint high) {
    uint least = min(low, high);
    high = max(low, high);
    low = least;
}

// How many of the first `count` entries of two merged lists are the first list's: one of `low` to `high`. Found by bisection (Odeh et al., "Merge
// Path", 2012).
uint bisect(uint first_list, uint second_list, uint count, uint low, uint high) {
    while (low < high) {
        uint middle = (low + high) / 2u;
        if (nodes[place(first_list + middle)] <= nodes[place(second_list + count - 1u - middle)]) low = middle + 1u;
        else high = middle;
    }
    return low;
}

// Sorts the n present symbols, of which this invocation's first one has the number `rank`: a merge sort, of which an invocation makes four
// entries. Returns in which region they are, the first or the second; behind them is END, and in the other what an earlier round left.
uint sort_items(uint h[4], uint rank, uint n) {
    uint own = 4u * gl_LocalInvocationIndex;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        if (h[i] > 0u) nodes[place(rank++)] = h[i] << 8 | own + i;
    }
    barrier();
    uint key[4];
    if (own < n) {
        [[unroll]] for (uint k = 0u; k < 4u; k++) key[k] = nodes[place(own + k)];
        order(key[0], key[1]);
        order(key[2], key[3]);
        order(key[0], key[2]);
        order(key[1], key[3]);
        order(key[1], key[2]);
        [[unroll]] for (uint k = 0u; k < 4u; k++) nodes[place(own + k)] = key[k];
    }
    barrier();
    uint from = 0u;
    for (uint run = 4u; run < n; run *= 2u) {
        if (own < n) {
            uint before = own & 2u * run - 1u;
            uint first = from + own - before;
            uint second = first + run;
            uint at = bisect(first, second, before, before - min(before, run), min(before, run));
            uint second_at = before - at;
            [[unroll]] for (uint k = 0u; k < 4u; k++) {
                uint one = at < run ? nodes[place(first + at)] : END;
                uint other = second_at < run ? nodes[place(second + second_at)] : END;
                key[k] = min(one, other);
                at += uint(one <= other);
                second_at += uint(one > other);
            }
            [[unroll]] for (uint k = 0u; k < 4u; k++) nodes[place(REGION - from + own + k)] = key[k];
        }
        barrier();
        from = REGION - from;
    }
    return from;
}

// Merges n items, which begin at `item_list`, with the sums of the `pairs` pairs of a list, which begin at `sum_list`. Each invocation makes eight entries of
// the new list. It replaces the sums by those of its own pairs and returns which of the eight are items, a bit for each (set also behind the end).
//
// `least` is how many items are before the eight. There were as many or more in the list before, where every sum was as large or larger. So they are
// looked for from there on downwards, in steps that double.
uint merge(uint item_list, uint n, uint sum_list, uint pairs, uint step, inout uint least) {
    uint own = gl_LocalInvocationIndex;
    uint first = 8u * own;
    uint items = 0u;
    uint sums[4];
    // Also where the first of the eight is behind the last entry, since END is to be there.
    if (first <= n + pairs) {
        uint low = first - min(first, pairs);
        uint high = min(least, min(first, n));
        while (low < high) {
            uint middle = high - min(step, high - low);
            if (nodes[place(item_list + middle)] <= nodes[place(sum_list + first - 1u - middle)]) {
                low = middle + 1u;
                break;
            }
            high = middle;
            step *= 2u;
        }
        least = bisect(item_list, sum_list, first, low, high);
        uint item_at = item_list + least;
        uint sum_at = sum_list + first - least;
        uint item = nodes[place(item_at)];
        uint sum = nodes[place(sum_at)];
        uint before = 0u;
        [[unroll]] for (uint k = 0u; k < 8u; k++) {
            bool is_item = item <= sum;
            uint entry = min(item, sum) >> 8;
            items |= uint(is_item) << k;
            if (k % 2u == 0u) before = entry;
            else sums[k / 2u] = min(before + entry, END >> 8) << 8 | 0xffu;
            item_at += uint(is_item);
            sum_at += uint(!is_item);
            uint next = nodes[place(is_item ? item_at : sum_at)];
            item = is_item ? next : item;
            sum = is_item ? sum : next;
        }
    }
    // Others may read the old ones until here.
    barrier();
    if (first <= n + pairs) {
        [[unroll]] for (uint k = 0u; k < 4u; k++) nodes[place(sum_list + 4u * own + k)] = sums[k];
    }
    barrier();
    return items;
}

// Stores the lengths of the n items' codes, of at most `limit` bits, and returns where in nodes[] they are, by symbol; those of other symbols are
// anything.
uint find_lengths(uint item_list, uint n, uint limit) {
    uint own = gl_LocalInvocationIndex;
    // What merge says of each list, 8 bits, the last list's lowest; and how many items are before, less one, if this is not the first invocation.
    uvec3 items = uvec3(0u);
    uvec3 befores = uvec3(0u);
    uint least = n;
    uint length = 0u;
    uint sum_list = REGION - item_list;
    // No sums yet.
    if (own == 0u) nodes[place(sum_list)] = END;
    barrier();
    for (uint number = 0u; number < limit; number++) {
        // How far it lies from where it was falls from list to list.
        uint step = max(64u >> 2u * min(number, 4u), 1u);
        uint merged = merge(item_list, n, sum_list, length / 2u, step, least);
        items = items << 8 | uvec3(merged, items.xy >> 24);
        befores = befores << 8 | uvec3(least - 1u & 0xffu, befores.xy >> 24);
        length = n + length / 2u;
    }
    uint own_lengths[4] = uint[4](0u, 0u, 0u, 0u);
    uint taken = 2u * n - 2u;
    for (uint number = limit; number-- > 0u;) {
        // The list's first entry is an item.
        if (taken / 8u == own) {
            items_taken[number] = bitCount(items.x & (1u << taken % 8u) - 1u) + (own > 0u ? (befores.x & 0xffu) + 1u : 0u);
        }
        items = items >> 8 | uvec3(items.yz << 24, 0u);
        befores = befores >> 8 | uvec3(befores.yz << 24, 0u);
        barrier();
        uint taken_items = items_taken[number];
        [[unroll]] for (uint i = 0u; i < 4u; i++) own_lengths[i] += uint(own + SCAN_SIZE * i < taken_items);
        taken = 2u * (taken - taken_items);
    }
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint item = own + SCAN_SIZE * i;
        if (item < n) nodes[place(sum_list + (nodes[place(item_list + item)] & 0xffu))] = own_lengths[i];
    }
    // The first item's is the longest.
    if (own == 0u) longest = own_lengths[0];
    barrier();
    return sum_list;
}

void main() {
    uint own = gl_LocalInvocationIndex;
    uint number = gl_WorkGroupID.x;
    EncodeBlock block = blocks[number];
    if (block.coder != CODER_HUFFMAN) return;
    clear_table();
    clear_nodes();

    uint h[4] = symbol_counts(block);
    uint present = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) present |= uint(h[i] > 0u) << i;
    uint symbols;
    uint rank = exclusive_sum(bitCount(present), symbols);
    if (symbols < 2u) {
        if (own == 0u) infos[number] = EncodeInfo(KIND_SINGLE, 0u, 0u);
        return;
    }
    uint item_list = sort_items(h, rank, symbols);
    uint limit = block.forced_log != 0u ? block.forced_log : DEFAULT_LIMIT;
    // A code for every symbol.
    uint length_list = find_lengths(item_list, symbols, max(limit, uint(findMSB(symbols - 1u) + 1)));

    uint table_log = longest;
    uint length[4];
    uint class_of[4];
    uint f[4];
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        bool real = (present >> i & 1u) != 0u;
        length[i] = nodes[place(length_list + 4u * own + i)];
        class_of[i] = real ? table_log - length[i] : 0u;
        f[i] = real ? 1u << class_of[i] : 0u;
    }
    bool has_longest;
    uint slots;
    Code codes[4] = canonical(present, class_of, has_longest, slots);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint code = bitfieldReverse(codes[i].slot << 32u - table_log);
        entries[512u * number + 4u * own + i] = f[i] > 0u ? code << 8 | length[i] : 0u;
    }
    uint table_size = serialise(f, false);
    if (own == 0u) infos[number] = EncodeInfo(KIND_CODED, table_log, table_size);
    for (uint i = own; i < TABLE_WORDS; i += SCAN_SIZE) tables[TABLE_WORDS * number + i] = table[i];
}
