/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/audit.h"
#include "test_main.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config config;
static struct audit audit;
static char directory[64], path[96];

/* A program that writes its arguments into a file beside it, then does `then`. */
static void setup_with(const char *then)
{
    strcpy(directory, "/tmp/lethe-audit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/program", directory);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "#!/bin/sh\necho \"$*\" >> \"$0.said\"\n%s\n", then);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, 0755), 0);
    config_init(&config);
    strcpy(config.database, "/db");
    strcpy(config.audit_program, path);
    config.audit_interval_s = 100;
    memset(&audit, 0, sizeof audit);
}

static void clean_up(void)
{
    unlink(path);
    strcat(path, ".said");
    unlink(path);
    rmdir(directory);
}

/* Until the child has ended. */
static void turn_until_done(uint64_t now_s)
{
    for (unsigned i = 0; i < 1000 && audit.child != 0; i++) {
        usleep(10000);
        audit_turn(&audit, now_s);
    }
    ck_assert_int_eq(audit.child, 0);
}

static void expect_said(const char *wanted)
{
    char said[128], text[512] = "";
    snprintf(said, sizeof said, "%s.said", path);
    FILE *file = fopen(said, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(text, wanted);
}

#define ARGUMENTS "--db /db audit --quiet --findings 3 --spread 21600"

START_TEST(test_turns)
{
    setup_with("exit 1");
    config.audit_interval_s = 0;
    audit_begin(&audit, &config);
    ck_assert(audit_wait_s(&audit, 5) == UINT64_MAX);
    audit_turn(&audit, 5);
    ck_assert_int_eq(audit.child, 0);
    config.audit_interval_s = 100;
    audit_begin(&audit, &config);
    ck_assert_uint_eq(audit_wait_s(&audit, 5), 0);
    audit_turn(&audit, 5);
    ck_assert_int_ne(audit.child, 0);
    ck_assert(audit_wait_s(&audit, 1000) == UINT64_MAX); /* one at a time */
    turn_until_done(6);
    ck_assert_uint_eq(audit_wait_s(&audit, 6), 99);
    audit_turn(&audit, 104);
    ck_assert_int_eq(audit.child, 0);
    expect_said(ARGUMENTS "\n");
    strcpy(config.audit_hints, "/hints");
    audit_begin(&audit, &config); /* not at once: the interval is the same */
    audit_turn(&audit, 104);
    ck_assert_int_eq(audit.child, 0);
    audit_turn(&audit, 105);
    turn_until_done(105);
    expect_said(ARGUMENTS "\n" ARGUMENTS " --hints /hints\n");
    clean_up();
}
END_TEST

START_TEST(test_proxy_has_no_zones)
{
    setup_with("");
    strcpy(config.proxy, "192.0.2.1@53");
    audit_begin(&audit, &config);
    ck_assert(audit_wait_s(&audit, 5) == UINT64_MAX);
    clean_up();
}
END_TEST

START_TEST(test_ends_with_us)
{
    setup_with("exec sleep 1000");
    audit_begin(&audit, &config);
    audit_turn(&audit, 1);
    const pid_t child = audit.child;
    ck_assert_int_eq(kill(child, 0), 0);
    audit_turn(&audit, 1000);
    ck_assert_int_eq(audit.child, child);
    audit_end(&audit);
    ck_assert_int_ne(kill(child, 0), 0);
    audit_end(&audit);
    clean_up();
}
END_TEST

START_TEST(test_no_program)
{
    setup_with("");
    strcpy(config.audit_program, "/nonexistent/lethe");
    audit_begin(&audit, &config);
    audit_turn(&audit, 1);
    ck_assert_int_eq(audit.child, 0);
    ck_assert_uint_eq(audit_wait_s(&audit, 1), 100);
    clean_up();
}
END_TEST

TEST_MAIN("server_audit", test_turns, test_proxy_has_no_zones, test_ends_with_us, test_no_program)
