/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration file. It is read twice: libyaml says on which line everything stands, which
 * keys are unknown or there twice, and where the syntax breaks (libcyaml 1.3 names the line before
 * for these); then libcyaml loads it by a schema made from config_keys, every scalar as text, and
 * config_set() gives text its meaning, the same way as for the command line.
 */
#include "server/config.h"
#include "server/nearest.h"

#include <assert.h>
#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#define FILE_MAX_LEN (1u << 20)
#define GROUPS_MAX 8

/* Keys of an address. */
enum { LISTEN_ADDRESS, LISTEN_TCP, LISTEN_INTERFACE, LISTEN_KEY_COUNT };
static const char *const listen_keys[LISTEN_KEY_COUNT] = {"address", "tcp", "interface"};

/* What libcyaml loads: texts, NULL where a key is absent. */
struct raw_listen {
    char *value[LISTEN_KEY_COUNT];
};

union raw_value {
    char *text;
    char **list; /* of a key of CONFIG_KIND_PREFIXES */
};

struct raw {
    union raw_value value[CONFIG_KEY_COUNT];
    uint32_t list_count[CONFIG_KEY_COUNT];
    struct raw_listen *listen;
    uint32_t listen_count;
};

struct reader {
    const char *name;
    const uint8_t *text;
    size_t text_len;
    struct config *config;
    struct config_error *error;
    unsigned root_line;
    unsigned listen_line[CONFIG_LISTEN_MAX];
    unsigned listen_key_line[CONFIG_LISTEN_MAX][LISTEN_KEY_COUNT];
    unsigned item_line[CONFIG_KEY_COUNT][CONFIG_PREFIXES_MAX]; /* of CONFIG_KIND_PREFIXES */
};

__attribute__((format(printf, 3, 4))) static int reader_refuse(const struct reader *reader,
                                                               size_t line, const char *format, ...)
{
    struct config_error *error = reader->error;
    va_list arguments;
    int used = snprintf(error->text, sizeof error->text, "%s:%zu: ", reader->name, line);
    if (used < 0 || (size_t)used >= sizeof error->text)
        return -EINVAL;
    va_start(arguments, format);
    vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- where things stand: libyaml ---- */

static size_t node_line(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

static const char *node_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* Key and value of pair `i`; the key is text without NUL that no earlier pair has. */
static int reader_pair(const struct reader *reader, yaml_document_t *document,
                       const yaml_node_t *mapping, size_t i, yaml_node_t **key_out,
                       yaml_node_t **value_out)
{
    const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    yaml_node_t *key = yaml_document_get_node(document, pairs[i].key);
    yaml_node_t *value = yaml_document_get_node(document, pairs[i].value);
    if (key->type != YAML_SCALAR_NODE)
        return reader_refuse(reader, node_line(key), "a key must be a word");
    for (size_t j = 0; j < i; j++) {
        const yaml_node_t *other = yaml_document_get_node(document, pairs[j].key);
        if (strcmp(node_text(other), node_text(key)) == 0)
            return reader_refuse(reader, node_line(key),
                                 "%.100s: is there twice, first on line %zu", node_text(key),
                                 node_line(other));
    }
    if (value->type == YAML_SCALAR_NODE && strlen(node_text(value)) != value->data.scalar.length)
        return reader_refuse(reader, node_line(value), "%.100s: has a NUL in it", node_text(key));
    *key_out = key;
    *value_out = value;
    return 0;
}

static size_t pair_count(const yaml_node_t *mapping)
{
    return (size_t)(mapping->data.mapping.pairs.top - mapping->data.mapping.pairs.start);
}

static int reader_mark_listen_entry(struct reader *reader, yaml_document_t *document,
                                    const yaml_node_t *entry, size_t i)
{
    yaml_node_t *key, *value;
    reader->listen_line[i] = (unsigned)node_line(entry);
    if (entry->type != YAML_MAPPING_NODE)
        return 0;
    for (size_t p = 0; p < pair_count(entry); p++) {
        if (reader_pair(reader, document, entry, p, &key, &value) != 0)
            return -EINVAL;
        unsigned k = 0;
        while (k < LISTEN_KEY_COUNT && strcmp(listen_keys[k], node_text(key)) != 0)
            k++;
        if (k == LISTEN_KEY_COUNT)
            return reader_refuse(reader, node_line(key),
                                 "unknown key \"%.100s\" in listen; known: address (which may be "
                                 "ADDRESS@PORT), tcp, interface",
                                 node_text(key));
        reader->listen_key_line[i][k] = (unsigned)node_line(key);
    }
    return 0;
}

static int reader_mark_listen(struct reader *reader, yaml_document_t *document,
                              const yaml_node_t *list)
{
    if (list->type != YAML_SEQUENCE_NODE)
        return 0;
    const yaml_node_item_t *items = list->data.sequence.items.start;
    size_t count = (size_t)(list->data.sequence.items.top - items);
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *entry = yaml_document_get_node(document, items[i]);
        if (i == CONFIG_LISTEN_MAX)
            return reader_refuse(reader, node_line(entry), "listen: more than %d addresses",
                                 CONFIG_LISTEN_MAX);
        if (reader_mark_listen_entry(reader, document, entry, i) != 0)
            return -EINVAL;
    }
    return 0;
}

static int reader_mark_prefixes(struct reader *reader, yaml_document_t *document,
                                const yaml_node_t *list, unsigned k)
{
    if (list->type != YAML_SEQUENCE_NODE)
        return 0;
    const yaml_node_item_t *items = list->data.sequence.items.start;
    size_t count = (size_t)(list->data.sequence.items.top - items);
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = yaml_document_get_node(document, items[i]);
        if (i == CONFIG_PREFIXES_MAX)
            return reader_refuse(reader, node_line(item), "%s: more than %d of them",
                                 config_keys[k].name, CONFIG_PREFIXES_MAX);
        if (item->type == YAML_SCALAR_NODE && strlen(node_text(item)) != item->data.scalar.length)
            return reader_refuse(reader, node_line(item), "%s: has a NUL in it",
                                 config_keys[k].name);
        reader->item_line[k][i] = (unsigned)node_line(item);
    }
    return 0;
}

static bool is_same_group(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What may have been meant: the same word elsewhere, or one like it here. */
static int reader_refuse_key(const struct reader *reader, const yaml_node_t *node,
                             const char *group)
{
    const char *word = node_text(node);
    const char *in = group != NULL ? " in " : "", *of = group != NULL ? group : "";
    struct nearest nearest = {.typed = word};
    for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
        const struct config_key *key = &config_keys[k];
        bool is_here = is_same_group(key->group, group);
        if (!is_here && strcmp(key->name, word) == 0)
            return reader_refuse(reader, node_line(node),
                                 "unknown key \"%.100s\"%s%s; it belongs %s%s", word, in, of,
                                 key->group != NULL ? "under " : "at the top",
                                 key->group != NULL ? key->group : "");
        if (is_here)
            nearest_offer(&nearest, key->name);
        if (group == NULL && key->group != NULL)
            nearest_offer(&nearest, key->group);
    }
    if (group == NULL)
        nearest_offer(&nearest, "listen");
    return reader_refuse(reader, node_line(node), "unknown key \"%.100s\"%s%s%s%s%s", word, in, of,
                         nearest.found != NULL ? "; is it " : "",
                         nearest.found != NULL ? nearest.found : "",
                         nearest.found != NULL ? "?" : "; lethed.yaml(5) has them all");
}

/* All keys of the mapping of `group` (NULL: the top). */
static int reader_mark_group(struct reader *reader, yaml_document_t *document,
                             const yaml_node_t *mapping, const char *group)
{
    yaml_node_t *key, *value;
    for (size_t p = 0; p < pair_count(mapping); p++) {
        if (reader_pair(reader, document, mapping, p, &key, &value) != 0)
            return -EINVAL;
        bool is_known = false;
        for (unsigned k = 0; k < CONFIG_KEY_COUNT && !is_known; k++) {
            const struct config_key *known = &config_keys[k];
            if (is_same_group(known->group, group) && strcmp(known->name, node_text(key)) == 0) {
                reader->config->line[k] = (unsigned)node_line(key);
                is_known = true;
                if (known->kind == CONFIG_KIND_PREFIXES &&
                    reader_mark_prefixes(reader, document, value, k) != 0)
                    return -EINVAL;
            } else if (group == NULL && is_same_group(known->group, node_text(key))) {
                is_known = true;
                if (value->type == YAML_MAPPING_NODE &&
                    reader_mark_group(reader, document, value, known->group) != 0)
                    return -EINVAL;
            }
        }
        if (!is_known && group == NULL && strcmp(node_text(key), "listen") == 0) {
            is_known = true;
            if (reader_mark_listen(reader, document, value) != 0)
                return -EINVAL;
        }
        if (!is_known)
            return reader_refuse_key(reader, key, group);
    }
    return 0;
}

static int reader_syntax(const struct reader *reader, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        snprintf(reader->error->text, sizeof reader->error->text, "%s: out of memory",
                 reader->name);
        return -ENOMEM;
    }
    size_t line = parser->problem_mark.line + 1;
    /* An encoding error comes with an offset instead of a mark. */
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < reader->text_len; i++)
            line += reader->text[i] == '\n';
    }
    size_t at = parser->problem_mark.index;
    bool is_tab =
        parser->error == YAML_SCANNER_ERROR && at < reader->text_len && reader->text[at] == '\t';
    return reader_refuse(reader, line, "not YAML: %s%s%s%s",
                         parser->context != NULL ? parser->context : "",
                         parser->context != NULL ? ", " : "", parser->problem,
                         is_tab ? ": a tab, where YAML has blanks" : "");
}

static int reader_mark_document(struct reader *reader, yaml_parser_t *parser, bool is_first)
{
    yaml_document_t document;
    int outcome = 0;
    if (!yaml_parser_load(parser, &document))
        return reader_syntax(reader, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root != NULL && !is_first)
        outcome = reader_refuse(reader, document.start_mark.line + 1, "a second document begins");
    else if (root != NULL) {
        reader->root_line = (unsigned)node_line(root);
        if (root->type == YAML_MAPPING_NODE)
            outcome = reader_mark_group(reader, &document, root, NULL);
    }
    yaml_document_delete(&document);
    return outcome;
}

static int reader_mark(struct reader *reader)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, reader->text, reader->text_len);
    int outcome = reader_mark_document(reader, &parser, true);
    if (outcome == 0)
        outcome = reader_mark_document(reader, &parser, false);
    yaml_parser_delete(&parser);
    return outcome;
}

/* ---- what it says: libcyaml ---- */

struct schema {
    cyaml_schema_field_t listen[LISTEN_KEY_COUNT + 1];
    cyaml_schema_value_t listen_entry;
    cyaml_schema_field_t group[CONFIG_KEY_COUNT + GROUPS_MAX];
    cyaml_schema_field_t top[CONFIG_KEY_COUNT + 2];
    cyaml_schema_value_t root;
};

static cyaml_schema_field_t schema_text(const char *name, size_t offset)
{
    return (cyaml_schema_field_t){
        .key = name,
        .data_offset = (uint32_t)offset,
        .value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char, 0,
                                     CYAML_UNLIMITED)}};
}

static const cyaml_schema_value_t schema_item = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

/* The field of key `k`, in a mapping whose first key is `first`. */
static cyaml_schema_field_t schema_key(unsigned k, unsigned first)
{
    size_t base = offsetof(struct raw, value) + first * sizeof(union raw_value);
    size_t offset = (k - first) * sizeof(union raw_value);
    if (config_keys[k].kind != CONFIG_KIND_PREFIXES)
        return schema_text(config_keys[k].name, offset);
    return (cyaml_schema_field_t){
        .key = config_keys[k].name,
        .data_offset = (uint32_t)offset,
        .count_offset = (uint32_t)(offsetof(struct raw, list_count) + k * sizeof(uint32_t) - base),
        .count_size = sizeof(uint32_t),
        .value = {CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char *,
                                       &schema_item, 0, CONFIG_PREFIXES_MAX)}};
}

/* A group is a mapping that lies inside of the root's array of values: its keys stand together. */
static void schema_make(struct schema *schema)
{
    size_t top = 0, in_group = 0;
    memset(schema, 0, sizeof *schema);
    for (unsigned k = 0; k < CONFIG_KEY_COUNT;) {
        const char *group = config_keys[k].group;
        if (group == NULL) {
            schema->top[top++] = schema_key(k++, 0);
            continue;
        }
        cyaml_schema_field_t *fields = &schema->group[in_group];
        unsigned first = k;
        for (; k < CONFIG_KEY_COUNT && is_same_group(config_keys[k].group, group); k++)
            schema->group[in_group++] = schema_key(k, first);
        in_group++; /* the field without a key that ends them */
        schema->top[top++] = (cyaml_schema_field_t){
            .key = group,
            .data_offset =
                (uint32_t)(offsetof(struct raw, value) + first * sizeof(union raw_value)),
            .value = {.type = CYAML_MAPPING,
                      .flags = CYAML_FLAG_OPTIONAL,
                      .data_size = (uint32_t)((k - first) * sizeof(union raw_value)),
                      .mapping = {.fields = fields}}};
    }
    assert(in_group <= CONFIG_KEY_COUNT + GROUPS_MAX && top <= CONFIG_KEY_COUNT);
    for (unsigned k = 0; k < LISTEN_KEY_COUNT; k++)
        schema->listen[k] = schema_text(listen_keys[k], k * sizeof(char *));
    schema->listen_entry = (cyaml_schema_value_t){
        CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_listen, schema->listen)};
    schema->top[top] = (cyaml_schema_field_t)CYAML_FIELD_SEQUENCE(
        "listen", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw, listen,
        &schema->listen_entry, 0, CONFIG_LISTEN_MAX);
    schema->root =
        (cyaml_schema_value_t){CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw, schema->top)};
}

/* libcyaml's log of a failure: a sentence, "Backtrace:", then places from the inside out. */
struct complaint {
    char sentence[256];
    char field[64];
    unsigned line;
};

__attribute__((format(printf, 3, 0))) static void
complaint_log(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct complaint *complaint = context;
    char line[512];
    (void)level;
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = '\0';
    const char *sentence = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
    const char *place = strstr(line, "(line: ");
    const char *field = strstr(line, "in mapping field '");
    if (place != NULL) {
        if (complaint->line == 0)
            complaint->line = (unsigned)strtoul(place + strlen("(line: "), NULL, 10);
        if (field != NULL && complaint->field[0] == '\0')
            snprintf(complaint->field, sizeof complaint->field, "%.*s",
                     (int)strcspn(field + 18, "'"), field + 18);
    } else if (complaint->sentence[0] == '\0' && strcmp(sentence, "Backtrace:") != 0) {
        snprintf(complaint->sentence, sizeof complaint->sentence, "%.250s", sentence);
    }
}

/* "must be a mapping of enabled, code, siphash": the keys of a group. */
static const char *group_words(const char *group, char words[256])
{
    size_t len = (size_t)snprintf(words, 256, "must be a mapping");
    const char *between = " of ";
    for (unsigned k = 0; k < CONFIG_KEY_COUNT && len < 256; k++) {
        if (config_keys[k].group == NULL || strcmp(config_keys[k].group, group) != 0)
            continue;
        len += (size_t)snprintf(words + len, 256 - len, "%s%s", between, config_keys[k].name);
        between = ", ";
    }
    return words;
}

/* libcyaml's sentences in words of the manual page. */
static const char *complaint_words(const struct complaint *complaint, cyaml_err_t problem,
                                   char words[256])
{
    static const struct {
        const char *sentence, *words;
    } known[] = {{"Expecting MAPPING", "must be a mapping (KEY: VALUE)"},
                 {"Expecting SEQUENCE", "must be a list"},
                 {"Expecting STRING", "must be a single value"}};
    bool is_mapping = strncmp(complaint->sentence, "Expecting M", 11) == 0;
    if (is_mapping && strcmp(complaint->field, "listen") == 0)
        return "must be a mapping, as in \"- address: 192.0.2.1\"";
    if (is_mapping && complaint->field[0] != '\0')
        return group_words(complaint->field, words);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(complaint->sentence, known[i].sentence, strlen(known[i].sentence)) == 0)
            return known[i].words;
    return complaint->sentence[0] != '\0' ? complaint->sentence : cyaml_strerror(problem);
}

static int reader_meaning(struct reader *reader, const struct raw *raw)
{
    struct config *config = reader->config;
    struct config_error reason;
    for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
        const struct config_key *key = &config_keys[k];
        bool is_list = key->kind == CONFIG_KIND_PREFIXES;
        if (!is_list && raw->value[k].text != NULL &&
            config_set(config, key, raw->value[k].text, &reason) != 0)
            return reader_refuse(reader, config->line[k], "%s: %.400s", key->name, reason.text);
        for (uint32_t i = 0; is_list && i < raw->list_count[k]; i++)
            if (config_set(config, key, raw->value[k].list[i], &reason) != 0)
                return reader_refuse(reader, reader->item_line[k][i], "%s: %.400s", key->name,
                                     reason.text);
    }
    for (uint32_t i = 0; i < raw->listen_count; i++) {
        char *const *value = raw->listen[i].value;
        const unsigned *line = reader->listen_key_line[i];
        if (value[LISTEN_ADDRESS] == NULL)
            return reader_refuse(reader, reader->listen_line[i], "listen: address is missing");
        if (config_listen_add(config, value[LISTEN_ADDRESS], &reason) != 0)
            return reader_refuse(reader, line[LISTEN_ADDRESS], "address: %.400s", reason.text);
        struct config_listen *listen = &config->listen[config->listen_count - 1];
        listen->line = reader->listen_line[i];
        if (value[LISTEN_TCP] != NULL) {
            int choice = config_choose(config_tcp_choices, value[LISTEN_TCP], &reason);
            if (choice < 0)
                return reader_refuse(reader, line[LISTEN_TCP], "tcp: %.400s", reason.text);
            listen->tcp = (enum config_tcp)choice;
        }
        if (value[LISTEN_INTERFACE] != NULL &&
            config_listen_set_interface(listen, value[LISTEN_INTERFACE], &reason) != 0)
            return reader_refuse(reader, line[LISTEN_INTERFACE], "interface: %.400s", reason.text);
    }
    return 0;
}

static int reader_load(struct reader *reader)
{
    struct schema schema;
    struct complaint complaint = {0};
    char words[256];
    const cyaml_config_t library = {.log_fn = complaint_log,
                                    .log_ctx = &complaint,
                                    .mem_fn = cyaml_mem,
                                    .log_level = CYAML_LOG_ERROR,
                                    .flags = CYAML_CFG_NO_ALIAS};
    struct raw *raw = NULL;
    schema_make(&schema);
    cyaml_err_t loaded = cyaml_load_data(reader->text, reader->text_len, &library, &schema.root,
                                         (cyaml_data_t **)&raw, NULL);
    if (loaded != CYAML_OK)
        return reader_refuse(reader, complaint.line != 0 ? complaint.line : reader->root_line,
                             "%s%s%s", complaint.field, complaint.field[0] != '\0' ? ": " : "",
                             complaint_words(&complaint, loaded, words));
    if (raw == NULL)
        return 0; /* nothing but comments */
    int outcome = reader_meaning(reader, raw);
    cyaml_free(&library, &schema.root, raw, 0);
    return outcome;
}

int config_read_text(struct config *config, const char *name, const char *text, size_t text_len,
                     struct config_error *error)
{
    struct reader reader = {.name = name,
                            .text = (const uint8_t *)text,
                            .text_len = text_len,
                            .config = config,
                            .error = error,
                            .root_line = 1};
    snprintf(config->file, sizeof config->file, "%s", name);
    int outcome = reader_mark(&reader);
    return outcome != 0 ? outcome : reader_load(&reader);
}

int config_read(struct config *config, const char *path, struct config_error *error)
{
    char *text = malloc(FILE_MAX_LEN + 1);
    if (text == NULL)
        return -ENOMEM;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t text_len = 0;
    ssize_t got = file < 0 ? -1 : 1;
    while (got > 0 && text_len <= FILE_MAX_LEN) {
        got = read(file, text + text_len, FILE_MAX_LEN + 1 - text_len);
        if (got > 0)
            text_len += (size_t)got;
    }
    int outcome = got < 0 ? -EIO : text_len > FILE_MAX_LEN ? -EINVAL : 0;
    if (outcome == -EIO)
        snprintf(error->text, sizeof error->text, "%s: cannot be read: %s", path, strerror(errno));
    else if (outcome != 0)
        snprintf(error->text, sizeof error->text, "%s: longer than 1 MiB", path);
    if (file >= 0)
        close(file);
    if (outcome == 0)
        outcome = config_read_text(config, path, text, text_len, error);
    free(text);
    return outcome;
}
