/* test_tally [PART OF]: runs the cases, or every OF-th of them beginning with PART (from 1). */
#include "../src/tally.h"

#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                          \
	do {                                                                      \
		if (!(condition)) {                                               \
			printf("  %s:%d: %s\n", __FILE__, __LINE__, #condition);  \
			failures++;                                               \
		}                                                                 \
	} while (0)

static void read_text(struct tally *t, const char *text)
{
	FILE *f = tmpfile();
	CHECK(f != NULL);
	fputs(text, f);
	rewind(f);
	CHECK(tally_read(t, f) == 0);
	fclose(f);
}

static void empty(struct tally *t)
{
	read_text(t, "");
	CHECK(t->used == 0);
	CHECK(tally_count(t, "a") == 0);
}

static void counts(struct tally *t)
{
	read_text(t, "a b a c a b");
	CHECK(tally_count(t, "a") == 3);
	CHECK(tally_count(t, "b") == 2);
	CHECK(tally_count(t, "c") == 1);
	CHECK(t->used == 3);
}

static void upper_and_lower(struct tally *t)
{
	read_text(t, "Word WORD word");
	CHECK(tally_count(t, "word") == 3);
	CHECK(tally_count(t, "Word") == 0);
}

static void punctuation(struct tally *t)
{
	read_text(t, "one, two; three! (one) 'two' four-five 123");
	CHECK(tally_count(t, "one") == 2);
	CHECK(tally_count(t, "five") == 1);
	CHECK(t->used == 5);
}

static void last_word(struct tally *t)
{
	read_text(t, "ends with a word");
	CHECK(tally_count(t, "word") == 1);
}

static void many_words(struct tally *t)
{
	char word[32];
	int i;
	for (i = 0; i < 20000; i++) {
		sprintf(word, "w%d", i % 5000);
		CHECK(tally_add(t, word) == 0);
	}
	CHECK(t->used == 5000);
	CHECK(tally_count(t, "w4999") == 4);
}

static void order(struct tally *t)
{
	read_text(t, "b a c c");
	tally_sort(t);
	CHECK(strcmp(t->entries[0].word, "c") == 0);
	CHECK(strcmp(t->entries[1].word, "a") == 0);
	CHECK(strcmp(t->entries[2].word, "b") == 0);
}

static void long_word(struct tally *t)
{
	char text[301], cut[101];
	memset(text, 'x', 300);
	text[300] = '\0';
	memset(cut, 'x', 100);
	cut[100] = '\0';
	read_text(t, text);
	CHECK(t->used == 1);
	CHECK(tally_count(t, cut) == 1);
}

static const struct {
	const char *name;
	void (*run)(struct tally *);
} cases[] = {
	{"empty", empty},
	{"counts", counts},
	{"upper and lower", upper_and_lower},
	{"punctuation", punctuation},
	{"last word", last_word},
	{"many words", many_words},
	{"order", order},
	{"long word", long_word},
};

int main(int argc, char **argv)
{
	int part = argc > 2 ? atoi(argv[1]) : 1;
	int of = argc > 2 ? atoi(argv[2]) : 1;
	int i, n = sizeof cases / sizeof *cases, ran = 0;
	for (i = part - 1; i < n; i += of) {
		struct tally t;
		int before = failures;
		if (tally_init(&t) != 0)
			return 1;
		cases[i].run(&t);
		tally_free(&t);
		printf("%s %s\n", failures == before ? "ok  " : "FAIL", cases[i].name);
		ran++;
	}
	printf("%d cases, %d failures\n", ran, failures);
	return failures != 0;
}
