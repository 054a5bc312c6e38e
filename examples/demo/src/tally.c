#include "tally.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 64, WORD_MAX_LENGTH = 100 };

int tally_init(struct tally *t)
{
	t->size = FIRST_SIZE;
	t->used = 0;
	t->entries = calloc(t->size, sizeof *t->entries);
	return t->entries ? 0 : -1;
}

void tally_free(struct tally *t)
{
	size_t i;
	for (i = 0; i < t->size; i++)
		free(t->entries[i].word);
	free(t->entries);
	t->entries = NULL;
	t->size = t->used = 0;
}

/* FNV-1a. */
static size_t hash(const char *word)
{
	unsigned int h = 2166136261u;
	while (*word)
		h = (h ^ (unsigned char)*word++) * 16777619u;
	return h;
}

/* slot finds the entry of a word, or the free one where it belongs. */
static struct tally_entry *slot(const struct tally *t, const char *word)
{
	size_t i = hash(word) & (t->size - 1);
	while (t->entries[i].word && strcmp(t->entries[i].word, word) != 0)
		i = (i + 1) & (t->size - 1);
	return &t->entries[i];
}

static int grow(struct tally *t)
{
	struct tally bigger;
	size_t i;
	bigger.size = t->size * 2;
	bigger.used = t->used;
	bigger.entries = calloc(bigger.size, sizeof *bigger.entries);
	if (!bigger.entries)
		return -1;
	for (i = 0; i < t->size; i++)
		if (t->entries[i].word)
			*slot(&bigger, t->entries[i].word) = t->entries[i];
	free(t->entries);
	*t = bigger;
	return 0;
}

int tally_add(struct tally *t, const char *word)
{
	struct tally_entry *e;
	if (t->used * 4 >= t->size * 3 && grow(t) != 0)
		return -1;
	e = slot(t, word);
	if (!e->word) {
		e->word = malloc(strlen(word) + 1);
		if (!e->word)
			return -1;
		strcpy(e->word, word);
		t->used++;
	}
	e->count++;
	return 0;
}

size_t tally_count(const struct tally *t, const char *word)
{
	return slot(t, word)->count;
}

int tally_read(struct tally *t, FILE *in)
{
	char word[WORD_MAX_LENGTH + 1];
	size_t n = 0;
	int c;
	do {
		c = getc(in);
		if (c != EOF && isalpha(c)) {
			if (n < WORD_MAX_LENGTH) /* the rest of a longer word is cut */
				word[n++] = (char)tolower(c);
		} else if (n > 0) {
			word[n] = '\0';
			n = 0;
			if (tally_add(t, word) != 0)
				return -1;
		}
	} while (c != EOF);
	return ferror(in) ? -1 : 0;
}

static int compare(const void *a, const void *b)
{
	const struct tally_entry *x = a, *y = b;
	if (!x->word || !y->word)
		return (x->word == NULL) - (y->word == NULL);
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->word, y->word);
}

void tally_sort(struct tally *t)
{
	qsort(t->entries, t->size, sizeof *t->entries, compare);
}
