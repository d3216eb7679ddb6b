-- What a program in Lua does all day: tables, strings, closures, coroutines, its collector.
local function tree(depth)
    if depth == 0 then return {} end
    return {left = tree(depth - 1), right = tree(depth - 1)}
end

local function count(node)
    return node.left and 1 + count(node.left) + count(node.right) or 1
end

for depth = 2, 14, 4 do
    print(depth, count(tree(depth)))
end
local parts = {}
for i = 1, 50000 do
    parts[#parts + 1] = string.format("%d:%s", i * 7919 % 10007, string.rep("x", i % 50))
end
table.sort(parts)
local text = table.concat(parts, ",")
print(#text, select(2, text:gsub("9:x+", "")), parts[1], parts[#parts])
local sum = 0
for i = 1, 2000 do
    local step = coroutine.wrap(function() for k = 1, 10 do coroutine.yield(k * i) end end)
    for _ = 1, 10 do sum = sum + step() end
end
print(sum)
parts, text = nil, nil
collectgarbage()
print(collectgarbage("count") < 5000)
