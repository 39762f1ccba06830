/* Reads a JSON text into a tree of nodes that live as long as the process. Anything that is no JSON becomes null. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct node {
    enum { NOTHING, NUMBER, TEXT, LIST, OBJECT } kind;
    double number;         /* true is 1, false is 0 */
    char *text;
    struct node *children; /* of a list or an object */
    struct node *next;     /* the next one beside this */
    char *key;             /* in an object */
} node;

static const char *at; /* what is read next */

static char after_blanks(void) {
    while (isspace((unsigned char)*at)) at++;
    return *at;
}

static char *read_text(void) {
    char *found = malloc(strlen(at) + 1), *out = found;
    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1]) at++;
        *out++ = *at;
    }
    if (*at) at++;
    *out = 0;
    return found;
}

static node *read_value(void);

static void read_children(node *parent, char end) {
    node **last = &parent->children;
    at++;
    while (after_blanks() && *at != end) {
        char *key = parent->kind == OBJECT && *at == '"' ? read_text() : NULL;
        if (after_blanks() == ':') at++;
        *last = read_value();
        (*last)->key = key;
        last = &(*last)->next;
        if (after_blanks() == ',') at++;
    }
    if (*at) at++;
}

static node *read_value(void) {
    node *found = calloc(1, sizeof *found);
    char first = after_blanks();
    if (first == '{' || first == '[') {
        found->kind = first == '{' ? OBJECT : LIST;
        read_children(found, first == '{' ? '}' : ']');
    } else if (first == '"') {
        found->kind = TEXT;
        found->text = read_text();
    } else if (isalpha((unsigned char)first)) { /* true, false, null */
        found->kind = first == 'n' ? NOTHING : NUMBER;
        found->number = first == 't';
        while (isalpha((unsigned char)*at)) at++;
    } else {
        char *end;
        found->kind = NUMBER;
        found->number = strtod(at, &end);
        at = end > at ? end : at + (*at != 0);
    }
    return found;
}

static node *read_file(const char *path) {
    FILE *file = path ? fopen(path, "rb") : NULL;
    char *text = calloc(1, 1 << 20);
    if (file) {
        size_t length = fread(text, 1, (1 << 20) - 1, file);
        text[length] = 0;
        fclose(file);
    }
    at = text;
    return read_value();
}

static node *get(const node *object, const char *key) {
    if (!object || object->kind != OBJECT) return NULL;
    for (node *each = object->children; each; each = each->next)
        if (each->key && !strcmp(each->key, key)) return each;
    return NULL;
}

static double number(const node *object, const char *key, double otherwise) {
    node *found = get(object, key);
    return found && found->kind == NUMBER ? found->number : otherwise;
}

static const char *text(const node *object, const char *key, const char *otherwise) {
    node *found = get(object, key);
    return found && found->kind == TEXT ? found->text : otherwise;
}

static node *child(const node *parent, unsigned int index) {
    node *each = parent ? parent->children : NULL;
    while (each && index--) each = each->next;
    return each;
}

static unsigned int length(const node *parent) {
    unsigned int found = 0;
    for (node *each = parent ? parent->children : NULL; each; each = each->next) found++;
    return found;
}
