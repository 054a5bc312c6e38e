/* tally FILE... prints the most frequent words, one per line: count, blank, word. */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

#ifndef VERSION
#define VERSION "unknown"
#endif

static int fail(const char *what)
{
	fprintf(stderr, "tally: ");
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	struct tally t;
	size_t i, top = 10;
	int arg = 1;
	if (arg < argc && strcmp(argv[arg], "--version") == 0) {
		puts("tally " VERSION);
		return 0;
	}
	if (arg + 1 < argc && strcmp(argv[arg], "-n") == 0) {
		top = strtoul(argv[arg + 1], NULL, 10);
		arg += 2;
	}
	if (tally_init(&t) != 0)
		return fail("start");
	for (; arg < argc; arg++) {
		FILE *in = fopen(argv[arg], "r");
		if (!in || tally_read(&t, in) != 0)
			return fail(argv[arg]);
		fclose(in);
	}
	tally_sort(&t);
	for (i = 0; i < t.used && i < top; i++)
		printf("%zu %s\n", t.entries[i].count, t.entries[i].word);
	tally_free(&t);
	return 0;
}
