/* work.cpp - what a compiler of C++ has to do with: templates of the library. */
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

using value = std::variant<int, double, std::string, std::vector<std::string>>;

static std::map<std::string, value> make(int count)
{
    std::map<std::string, value> all;

    for (int i = 0; i < count; i++)
        all.emplace(std::to_string(i), i % 2 == 0 ? value(i) : value(std::to_string(i * 2)));
    return all;
}

int main()
{
    std::unordered_map<std::string, std::shared_ptr<value>> shared;
    std::regex words("([a-z]+)([0-9]*)");
    std::smatch match;
    std::string text = "word12";

    for (auto &[name, what] : make(100))
        shared[name] = std::make_shared<value>(what);
    std::vector<std::function<int(int)>> steps{[](int i) { return i + 1; }};
    std::sort(text.begin(), text.end(), std::greater<>());
    return std::regex_match(text, match, words) ? steps[0](static_cast<int>(shared.size())) : 0;
}
