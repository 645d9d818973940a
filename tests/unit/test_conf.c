/* SPDX-License-Identifier: BSD-2-Clause */
/* base/conf and base/file: known keys with their defaults, complaints that name the line, files all or nothing. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "tests/lib/test.h"

static char dir[] = "/tmp/dpiv-conf.XXXXXX", path[64];

static enum err
load(const char *text, struct conf **c)
{
	*c = NULL;
	assert_ok(file_write(path, 0600, span_str(text)));
	return conf_load_file(path, c);
}

static void
values_and_defaults(void **state)
{
	struct conf *c;

	(void)state;
	assert_ok(
	    load("# comment\n[module]\nkeep_pin = no\n\n[issuer lab]\nurl = https://lab.example\n[issuer two]\n", &c));
	assert_false(conf_bool(c, "module", "keep_pin"));
	assert_false(conf_bool(c, "module", "last_try"));
	assert_string_equal(conf_str(c, "issuer lab", "url"), "https://lab.example");
	assert_string_equal(conf_str(c, "issuer lab", "tls"), "1.2+");
	assert_null(conf_str(c, "issuer two", "url"));
	assert_null(conf_str(c, "issuer lab", "no_such_key"));
	assert_string_equal(conf_named(c, "issuer", 0), "lab");
	assert_string_equal(conf_named(c, "issuer", 1), "two");
	assert_null(conf_named(c, "issuer", 2));
	assert_null(conf_named(c, "token", 0));
	conf_free(&c);
	assert_true(conf_bool(NULL, "module", "keep_pin"));
}

static void
complaints_name_the_line(void **state)
{
	static const struct {
		const char *text, *says;
	} row[] = {
		{ "[module]\n\nkeep_pim = yes\n", ":3: unknown key \"keep_pim\" in [module]" },
		{ "[modul]\nkeep_pin = yes\n", ":1: unknown section [modul]" },
		{ "[module]\nkeep_pin = perhaps\n", ":2: keep_pin must be yes or no" },
		{ "[issuer]\nurl = x\n", ":1: unknown section [issuer]" },
		{ "[issuer a]\nurl = x\n[issuer b]\nurl = y\nurk = z\n", ":5: unknown key \"urk\"" },
		{ "[mail]\ncafile = relative.pem\n", ":2: cafile must be an absolute path" },
		{ "loose = 1\n", "unknown section [default]" },
		{ "[module\nkeep_pin = yes\n", ":1: not understood" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		struct conf *c;

		assert_err(load(row[i].text, &c), E_CONF);
		assert_null(c);
		assert_says(path);
		assert_says(row[i].says);
	}
}

static void
the_user_comes_before_the_system(void **state)
{
	struct conf *c;
	char sub[80], user[96];

	(void)state;
	setenv("XDG_CONFIG_HOME", dir, 1);
	unsetenv("DPIV_CONF");
	assert_ok(conf_load(&c)); /* no file at all is fine */
	conf_free(&c);
	snprintf(sub, sizeof sub, "%s/dpiv", dir);
	snprintf(user, sizeof user, "%s/dpiv.conf", sub);
	assert_ok(file_mkdirs(sub, 0700));
	assert_ok(file_write(user, 0600, span_str("[module]\nlast_try = yes\n")));
	assert_ok(conf_load(&c));
	assert_true(conf_bool(c, "module", "last_try"));
	conf_free(&c);
	setenv("DPIV_CONF", "/nonexistent/dpiv.conf", 1);
	assert_err(conf_load(&c), E_NOTFOUND);
	assert_null(c);
	unlink(user);
	rmdir(sub);
}

static void
the_table_is_sound(void **state)
{
	size_t n;
	const struct conf_key *t = conf_table(&n);

	(void)state;
	assert_true(n > 5);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(t[i].help) > 10);
		assert_non_null(strchr("sbnpl", t[i].type));
		if (t[i].type == 'b' && t[i].initial != NULL) /* none: unset is a third answer */
			assert_true(strcmp(t[i].initial, "yes") == 0 || strcmp(t[i].initial, "no") == 0);
	}
}

static void
files_are_read_with_a_limit(void **state)
{
	WBUF_AUTO small = { .max = 10 };
	WBUF_AUTO right = { .max = 11 };

	(void)state;
	assert_ok(file_write(path, 0600, span_str("hello world")));
	assert_err(file_read(path, &small), E_PROTO);
	assert_ok(file_read(path, &right));
	assert_bytes(wbuf_view(&right), "hello world");
	assert_err(file_read("/nonexistent", &right), E_NOTFOUND);
	assert_err(file_read(dir, &right), E_IO);
}

static void
writing_is_all_or_nothing(void **state)
{
	char other[80];
	struct stat st;

	(void)state;
	assert_ok(file_write(path, 0640, span_str("one")));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	snprintf(other, sizeof other, "%s/none/file", dir);
	assert_err(file_write(other, 0600, span_str("x")), E_IO);
	assert_err(file_mkdirs(path, 0700), E_IO);
}

static void
pin_files_give_their_first_line(void **state)
{
	struct secret *s;

	(void)state;
	assert_ok(file_write(path, 0600, span_str("123456\r\nsecond\n")));
	assert_ok(file_read_secret(path, &s));
	assert_bytes(secret_view(s), "123456");
	secret_free(&s);
	assert_ok(file_write(path, 0600, span_str("\n123456\n")));
	assert_err(file_read_secret(path, &s), E_PINLEN);
	assert_null(s);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/file", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_and_defaults),
		cmocka_unit_test(complaints_name_the_line),
		cmocka_unit_test(the_user_comes_before_the_system),
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(files_are_read_with_a_limit),
		cmocka_unit_test(writing_is_all_or_nothing),
		cmocka_unit_test(pin_files_give_their_first_line),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
