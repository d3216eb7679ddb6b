create table item(id integer primary key, name text, price real, maker integer);
create table maker(id integer primary key, name text unique);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
    insert into maker select i, printf('maker %04d', i * 7919 % 10007) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
    insert into item select i, printf('item %d %s', i, hex(i * 48271 % 2147483647)), i % 997 / 7.0, 1 + i % 500 from n;
create index by_name on item(name);
create index by_maker on item(maker, price);
select m.name, count(*), round(sum(i.price), 3) from item i join maker m on m.id = i.maker
    group by m.id order by 3 desc, 1 limit 10;
select count(*) from item where name like 'item 1%A%';
update item set price = price * 1.1, name = name || ' new' where id % 3 = 0;
delete from item where id % 7 = 0;
with recursive f(a, b, n) as (select 0, 1, 0 union all select b, a + b, n + 1 from f where n < 60)
    select group_concat(a, ' ') from f;
select maker, group_concat(length(name)) from (select * from item order by id limit 400) group by maker order by maker limit 5;
select i.name, rank() over (partition by maker order by price desc, id) from item i order by i.id limit 20;
select json_group_array(name) from (select name from item order by name desc limit 20);
vacuum;
pragma integrity_check;
