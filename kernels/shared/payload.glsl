// The payload of a block: word counts, table, streams. The includer is encoding.glsl. Lengths are in words.

// Of the segments' streams. The includer may define where.
#ifndef LENGTHS
shared uint lengths[MOST_SEGMENTS];
#define LENGTHS(i) lengths[i]
#endif

// Half `i` (16 bits) of the head.
uint head_half(uint i, uint segments, uint table_size) {
    if (i < segments) return LENGTHS(i) - INITIAL_WORDS;
    i -= segments;
    if (i >= table_size / 2u) return 0u;
    return tables[TABLE_WORDS * gl_WorkGroupID.x + i / 2u] >> 16u * (i & 1u) & 0xffffu;
}

uint head_words(uint segments, uint table_size) {
    return (segments + table_size / 2u + 2u / WORDS_PER_U32 - 1u) / (2u / WORDS_PER_U32);
}

#if WORD_BITS == 16
// The word of the payload before a segment: the last of the segment before it, or of the head.
uint word_before(EncodeBlock block, uint segment, uint segments, uint table_size) {
    uint head = head_words(segments, table_size);
    if (segment == 0u) return head_half(head - 1u, segments, table_size);
    return get_word(stream_end(block, segment - 1u) - 1u);
}
#endif

// Words of so many streams.
uint words_of(uint first, uint count) {
    uint words = 0u;
    for (uint i = 0u; i < count; i++) words += LENGTHS(first + i);
    return words;
}

// Encodes the segments from `base` on, as many as there are groups for, and appends them to the payload unless that is then larger than
// the block; `words` is its length.
void append_segments(EncodeBlock block, uint base, uint segments, uint table_size, inout uint words) {
    uint segment = base + group();
    Stream stream = encode_segment(block, segment, segment_size(block, base, segment_log));
    uint length = stream.end - stream.p;
    if (lane(0u) == 0u && stream.size > 0u) LENGTHS(segment) = length;
    memoryBarrierBuffer();
    barrier();
    uint begin = words + words_of(base, min(group(), segments - base));
    if (stream.size > 0u && (begin + length) * (WORD_BITS / 8u) <= block.raw_size) {
#if WORD_BITS == 32
        copy(stream, block.raw, begin);
#else
        copy(stream, block.raw, begin, word_before(block, segment, segments, table_size));
#endif
    }
    words += words_of(base, min(GROUPS, segments - base));
}

// Encodes all segments and puts the payload together, unless it is no smaller than the block; returns its size in bytes.
uint compose_payload(EncodeBlock block, uint table_size) {
    uint segments = segment_count(block);
    uint head = head_words(segments, table_size);
    uint words = head;
    for (uint base = 0u; base < segments; base += GROUPS) append_segments(block, base, segments, table_size, words);
    uint size = words * (WORD_BITS / 8u);
    if (size >= block.raw_size) return size;
    for (uint i = gl_LocalInvocationIndex; i < head / WORDS_PER_U32; i += gl_WorkGroupSize.x) {
        uint low = head_half(2u * i, segments, table_size);
        payload[block.raw + i] = low | head_half(2u * i + 1u, segments, table_size) << 16;
    }
#if WORD_BITS == 16
    if (gl_LocalInvocationIndex == 0u && words % 2u == 1u) {
        payload[block.raw + words / 2u] = word_before(block, segments, segments, table_size);
    }
#endif
    return size;
}
