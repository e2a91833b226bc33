// Calls the functions of a generation library that was built for another processor or system: foreign_library.py runs this
// under an emulator, writes the calls to its standard input, and reads what they return from its standard output.
//
// call_library FILE
//
// A call: the name of the function, the number of its arguments, each as a letter and what it holds:
//   i an integer or a pointer that the library returned; d a double; 0 a null pointer
//   b a pointer to bytes; l a pointer to pointers, each of which is b or 0
// The answer: what the function returned, in the same form (i, b or 0), how many arguments it could write to, and each of
// these as its number and its bytes. Numbers are of 8 bytes, the lowest first; bytes and names have their number before them.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <windows.h>
#else
#include <dlfcn.h>
#endif

// The types of the functions. What is called are those of the library.
#include "../../seqlm_core/native/src/generation/generation.cc"

namespace {

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "call_library: %s\n", what.c_str());
    std::exit(1);
}

void read(void* to, std::size_t size) {
    if (std::fread(to, 1, size, stdin) != size) fail("a call ends too early");
}

template <class Number>
Number read_number() {
    static_assert(sizeof(Number) == 8);
    Number number;
    read(&number, sizeof number);
    return number;
}

using Bytes = std::vector<char>;

Bytes read_bytes() {
    Bytes bytes(read_number<std::uint64_t>());
    read(bytes.data(), bytes.size());
    return bytes;
}

void write(const void* from, std::size_t size) { std::fwrite(from, 1, size, stdout); }

void write_number(std::uint64_t number) { write(&number, sizeof number); }

void write_bytes(const char* bytes, std::size_t size) {
    write_number(size);
    write(bytes, size);
}

// An argument, and the memory that it points to.
struct Argument {
    char letter;
    std::int64_t integer = 0;
    double number = 0;
    Bytes bytes;
    std::vector<Argument> parts;
    std::vector<const char*> pointers;

    Argument() {
        read(&letter, 1);
        if (letter == 'i') integer = read_number<std::int64_t>();
        if (letter == 'd') number = read_number<double>();
        if (letter == 'b') bytes = read_bytes();
        if (letter != 'l') return;
        parts = std::vector<Argument>(read_number<std::uint64_t>());
        for (const Argument& part : parts) pointers.push_back(part.letter == 'b' ? part.bytes.data() : nullptr);
    }

    template <class Type>
    Type as() {
        if constexpr (std::is_pointer_v<Type>) {
            if (letter == '0') return nullptr;
            if (letter == 'i') return reinterpret_cast<Type>(static_cast<std::intptr_t>(integer));
            if (letter == 'b') return reinterpret_cast<Type>(bytes.data());
            if (letter == 'l') return reinterpret_cast<Type>(pointers.data());
        } else if constexpr (std::is_floating_point_v<Type>) {
            if (letter == 'd') return number;
        } else {
            if (letter == 'i') return static_cast<Type>(integer);
        }
        fail(std::string("an argument is ") + letter + ", which is not of the type of the function");
    }
};

template <class Type>
constexpr bool is_written = std::is_pointer_v<Type> && !std::is_const_v<std::remove_pointer_t<Type>>;

template <class Result>
void write_result(Result result) {
    if constexpr (std::is_same_v<Result, const char*>) {
        write(result ? "b" : "0", 1);
        if (result) write_bytes(result, std::strlen(result));
    } else {
        write("i", 1);
        if constexpr (std::is_pointer_v<Result>) {
            write_number(reinterpret_cast<std::uintptr_t>(result));
        } else {
            write_number(static_cast<std::uint64_t>(result));
        }
    }
}

template <class Result, class... Types, std::size_t... numbers>
void call(Result (*function)(Types...), std::index_sequence<numbers...>) {
    if (read_number<std::uint64_t>() != sizeof...(Types)) fail("a call has too many arguments, or too few");
    std::vector<Argument> arguments(sizeof...(Types));
    if constexpr (std::is_void_v<Result>) {
        function(arguments[numbers].template as<Types>()...);
        write("0", 1);
    } else {
        write_result(function(arguments[numbers].template as<Types>()...));
    }
    const bool may_write[] = {is_written<Types>..., false};
    std::vector<std::size_t> written;
    for (std::size_t i = 0; i < arguments.size(); ++i)
        if (may_write[i] && arguments[i].letter == 'b') written.push_back(i);
    write_number(written.size());
    for (const std::size_t i : written) {
        write_number(i);
        write_bytes(arguments[i].bytes.data(), arguments[i].bytes.size());
    }
}

template <class Result, class... Types>
void call(void* address, Result (*)(Types...)) {
    Result (*function)(Types...);
    std::memcpy(&function, &address, sizeof function);
    call(function, std::index_sequence_for<Types...>());
}

#if defined(_WIN32)
void* load(const char* file) { return reinterpret_cast<void*>(LoadLibraryA(file)); }

void* function_of(void* library, const char* name) {
    return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

void use_binary_streams() {
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
}
#else
void* load(const char* file) { return dlopen(file, RTLD_NOW); }

void* function_of(void* library, const char* name) { return dlsym(library, name); }

void use_binary_streams() {}
#endif

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) fail("give a file");
    void* const library = load(arguments[1]);
    if (!library) fail(std::string("cannot load ") + arguments[1]);
    use_binary_streams();
    for (int next; (next = std::getchar()) != EOF;) {
        std::ungetc(next, stdin);
        const Bytes bytes = read_bytes();
        const std::string name(bytes.begin(), bytes.end());
        void* const address = function_of(library, name.c_str());
        if (!address) fail("the library has no " + name);
#define SEQLM_CALL(function) \
    if (name == #function) call(address, &function)
        SEQLM_CALL(seqlm_interface);
        else SEQLM_CALL(seqlm_instruction_set);
        else SEQLM_CALL(seqlm_new_model);
        else SEQLM_CALL(seqlm_delete_model);
        else SEQLM_CALL(seqlm_state_size);
        else SEQLM_CALL(seqlm_read);
        else SEQLM_CALL(seqlm_draw);
        else fail("do not know the type of " + name);
        std::fflush(stdout);
    }
}
