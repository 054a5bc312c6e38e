/* tally counts the words of a text. */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>
#include <stdio.h>

/* A word and how often it was seen. */
struct tally_entry {
	char *word;
	size_t count;
};

struct tally {
	struct tally_entry *entries; /* unordered until tally_sort; empty slots have no word */
	size_t size;                 /* slots, a power of two */
	size_t used;
};

/* tally_init makes an empty tally. It returns 0, or -1 when memory is short. */
int tally_init(struct tally *t);
void tally_free(struct tally *t);

/* tally_add counts one word, of any length, as it is. */
int tally_add(struct tally *t, const char *word);

/* tally_count returns how often a word was seen. */
size_t tally_count(const struct tally *t, const char *word);

/* tally_read counts the words of a stream: runs of letters, in lower case. */
int tally_read(struct tally *t, FILE *in);

/* tally_sort brings the entries into order, most frequent first, then by word. Nothing can be added afterwards. */
void tally_sort(struct tally *t);

#endif
