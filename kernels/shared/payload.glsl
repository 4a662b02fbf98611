// The payload of a block: segment sizes, table, segments. The includer is encoding.glsl. Lengths are in words.
//
// Where segments go is decided before they are encoded: each gets room for what its symbols' costs add up to and a margin, and what is
// left is the gap in it. Should one not fit, or be much shorter, all are encoded again where their true lengths put them. The CPU
// finds the same lengths (coder::places).

// Words of a group for the lengths and the bit string of its states.
#define STATE_WORDS 56u
#define WORK_WORDS ((GROUPS * STATE_WORDS > 256u ? GROUPS * STATE_WORDS : 256u) + GROUPS + 2u)
shared uint memory[MOST_SEGMENTS + WORK_WORDS];
// The length of each segment's room, and above it the true one: which is ORed in while others read the room's.
#define LENGTHS(i) memory[i]
// The symbols' costs; later for each group the lengths and the bit string of its states. Behind them, where the rooms of the segments in
// work begin and the last one ends, and whether a segment did not fit its room.
#define WORK(i) memory[MOST_SEGMENTS + (i)]
#define BEGIN(i) WORK(WORK_WORDS - GROUPS - 2u + (i))
#define MISFIT WORK(WORK_WORDS - 1u)

// Fractional bits of costs.
#define COST_LOG 12u
// The longest gap that a segment is left with.
#define MOST_LEFT 15u

// log2 f in fixed point, rounded down: by squaring, which doubles it.
uint log2_fixed(uint f) {
    uint log = uint(findMSB(f));
    // With 31 fractional bits, in [1, 2).
    uint mantissa = f << 31u - log;
    for (uint i = 0u; i < COST_LOG; i++) {
        uint high, low;
        umulExtended(mantissa, mantissa, high, low);
        log = log << 1 | high >> 31;
        mantissa = (high >> 31) != 0u ? high : high << 1 | low >> 31;
    }
    return log;
}

uint ans_cost(uint f) { return f > 0u ? (table_log << COST_LOG) - log2_fixed(f) : 0u; }

// This invocation's part of what the symbols of a segment cost, without its seed, and what is put before its lanes' last ones.
uint own_cost(EncodeBlock block, uint segment) {
    uint sum = 0u;
    uint first = block.counts + segment / 2u * COUNT_WORDS;
    uint shift = 16u * (segment & 1u);
    for (uint i = lane(0u); i < COUNT_WORDS; i += WIDTH) sum += (counts[first + i] >> shift & 0xffffu) * WORK(i);
    uint size = segment_size(block, segment, segment_log);
    UNROLL_LANES for (uint j = 0u; j < LANES; j++) {
        uint seed = own_seed(block.raw + (segment << segment_log) / 4u, size, lane(j));
        uint at = max(size, 32u * SEED) - 32u * SEED + SEED * lane(j);
        [[unroll]] for (uint b = 0u; b < SEED; b++) {
            // Loaded in any case: SwiftShader takes minutes and gigabytes to compile loads that are conditional.
            uint cost = WORK(seed >> 8u * b & 0xffu);
            sum -= at + b < size ? cost : 0u;
        }
        if (cell_bits() > 0u) {
            uint quad, first, count;
            last_pair(block.raw + (segment << segment_log) / 4u, max(size, 32u * SEED) - 32u * SEED, lane(j), quad, first, count);
            uint own = WORK(symbol(quad, first)) + (count > 1u ? WORK(symbol(quad, first + 1u)) : 0u);
            uint least = cell_bits() + 1u << COST_LOG;
            sum += count > 0u ? max(own, least) - own : 0u;
        }
    }
    return sum;
}

// The length of the room for a segment whose body costs so much.
uint room(EncodeBlock block, uint segment, uint body_cost) {
    uint size = segment_size(block, segment, segment_log);
    uint body = max(size, 32u * SEED) - 32u * SEED;
    uint bits = body_cost + (1u << COST_LOG) - 1u >> COST_LOG;
    bits += 32u * (PLANES + 8u * SEED) + GAP_BITS + min(body / 32u, MARGIN);
    return (bits + WORD_BITS - 1u) / WORD_BITS;
}

// Fills LENGTHS with the rooms'.
void find_rooms(EncodeBlock block, uint segments) {
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) WORK(i) = cost(i);
    for (uint i = gl_LocalInvocationIndex; i < segments; i += gl_WorkGroupSize.x) LENGTHS(i) = 0u;
    barrier();
    for (uint segment = group(); segment < segments; segment += GROUPS) {
        atomicAdd(LENGTHS(segment), own_cost(block, segment));
    }
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < segments; i += gl_WorkGroupSize.x) LENGTHS(i) = room(block, i, LENGTHS(i));
    barrier();
}

// Words of the rooms of so many segments.
uint words_of(uint first, uint count) {
    uint words = 0u;
    [[dont_unroll]] for (uint i = first; i < first + count; i++) words += LENGTHS(i) & 0xffffu;
    return words;
}

// Half `i` (16 bits) of the head.
uint head_half(uint i, uint segments, uint table_size) {
    if (i < segments) return LENGTHS(i) & 0xffffu;
    i -= segments;
    if (i >= table_size / 2u) return 0u;
    return tables[TABLE_WORDS * gl_WorkGroupID.x + i / 2u] >> 16u * (i & 1u) & 0xffffu;
}

uint head_words(uint segments, uint table_size) {
    return (segments + table_size / 2u + 2u / WORDS_PER_U32 - 1u) / (2u / WORDS_PER_U32);
}

void write_head(uint first, uint head, uint segments, uint table_size) {
#if WORD_BITS == 16
    for (uint i = gl_LocalInvocationIndex; i < head; i += gl_WorkGroupSize.x) put_word(first + i, head_half(i, segments, table_size));
#else
    for (uint i = gl_LocalInvocationIndex; i < head; i += gl_WorkGroupSize.x) {
        put_word(first + i, head_half(2u * i, segments, table_size) | head_half(2u * i + 1u, segments, table_size) << 16);
    }
#endif
}

// Makes put_word possible on so many words of the payload.
void clear_payload(EncodeBlock block, uint words) {
#if WORD_BITS == 16 && !defined(STORAGE16)
    for (uint i = gl_LocalInvocationIndex; i < (words + 1u) / 2u; i += gl_WorkGroupSize.x) payload[block.payload + i] = 0u;
    memoryBarrierBuffer();
    barrier();
#endif
}

// Adds the bits of a value to a bit string.
void put_bits(uint string, uint at, uint value) {
    uint shift = at & 31u;
    atomicOr(WORK(string + at / 32u), value << shift);
    atomicOr(WORK(string + at / 32u + 1u), value >> 1u >> 31u - shift);
}

// Ends a segment whose room begins at a word of payload[]: what precedes its words.
void close(uint segment, uint begin, bool exact, inout Stream stream) {
    uint length[LANES];
    uvec2 bits[LANES];
    finish(stream, length, bits);
    uint own = group() * STATE_WORDS;
    uint string = own + PLANES;
    for (uint i = lane(0u); i < STATE_WORDS; i += WIDTH) WORK(own + i) = 0u;
    uint planes[PLANES];
    [[unroll]] for (uint b = 0u; b < PLANES; b++) {
        bool bit[LANES];
        UNROLL_LANES for (uint j = 0u; j < LANES; j++) bit[j] = (length[j] - LEAST >> b & 1u) != 0u;
        planes[b] = lane_mask(bit);
    }
    uint head = (32u * PLANES + state_place(planes, 32u, cell_bits()) + WORD_BITS - 1u) / WORD_BITS;
    uint true_length = (stream.end - stream.p) / UNIT + head;
    uint gap = stream.end / UNIT - begin - true_length;
    group_barrier();
    if (lane(0u) == 0u) {
        [[unroll]] for (uint b = 0u; b < PLANES; b++) WORK(own + b) = planes[b];
        put_bits(string, 0u, gap & 0xffu);
    }
    UNROLL_LANES for (uint j = 0u; j < LANES; j++) {
        uint at = state_place(planes, lane(j), cell_bits());
        put_bits(string, at, bits[j].x);
#if WORD_BITS == 32
        put_bits(string, at + 32u, bits[j].y);
        put_bits(string, at + length[j], cell(stream.x[j]));
#endif
    }
    group_barrier();
    if (stream.size == 0u) return;
    if (lane(0u) == 0u) atomicOr(LENGTHS(segment), true_length << 16);
    // A gap below zero is a large number. A single segment needs none.
    if (gap > (exact ? 0u : MOST_LEFT)) {
        atomicOr(MISFIT, 1u);
        return;
    }
    for (uint i = lane(0u); i < head + gap; i += WIDTH) {
        uint word = i < head ? WORK(own + i / WORDS_PER_U32) >> WORD_BITS * (i % WORDS_PER_U32) : 0u;
        put_word(begin + i, word);
    }
}

// Encodes all segments into their rooms, of which the first begins at word `begin` of payload[].
void encode_segments(EncodeBlock block, uint segments, uint begin) {
    for (uint base = 0u; base < segments; base += GROUPS) {
        // Added up by few, since all would wait for as long.
        uint own = gl_LocalInvocationIndex;
        for (uint i = own; i <= GROUPS; i += gl_WorkGroupSize.x) BEGIN(i) = begin + words_of(base, min(i, segments - base));
        barrier();
        uint segment = base + group();
        Stream stream = open(block, segment, BEGIN(group() + 1u));
        encode_body(segment_size(block, base, segment_log), stream);
        close(segment, BEGIN(group()), segments == 1u, stream);
        begin = BEGIN(GROUPS);
        barrier();
    }
}

// Encodes all segments and puts the payload together, unless it is no smaller than the block; returns its size in bytes.
uint compose_payload(EncodeBlock block, uint table_size) {
    uint segments = segment_count(block);
    uint first = block.payload * WORDS_PER_U32;
    uint head = head_words(segments, table_size);
    find_rooms(block, segments);
    uint size = 0u;
    [[dont_unroll]] for (uint turn = 0u; turn < 2u; turn++) {
        if (gl_LocalInvocationIndex == 0u) {
            BEGIN(0u) = words_of(0u, segments);
            MISFIT = 0u;
        }
        barrier();
        uint words = head + BEGIN(0u);
        size = words * (WORD_BITS / 8u);
        if (size >= block.raw_size) return size;
        clear_payload(block, words);
        barrier();
        encode_segments(block, segments, first + head);
        if (MISFIT == 0u) break;
        // What is written now comes after what has been written.
        memoryBarrierBuffer();
        barrier();
        for (uint i = gl_LocalInvocationIndex; i < segments; i += gl_WorkGroupSize.x) LENGTHS(i) >>= 16;
        barrier();
    }
    write_head(first, head, segments, table_size);
    return size;
}
