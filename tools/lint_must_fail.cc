// Deliberately wrong: lint.sh checks that clang-tidy rejects it.
class badly_named {};
int* Null() { return 0; }
