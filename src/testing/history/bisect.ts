/** Where `isBeyond` turns true in a list in which it does so once and for all: the index of the first item beyond, or the list's length. */
export function bisect<Item>(list: readonly Item[], isBeyond: (item: Item) => boolean): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (isBeyond(list[middle] as Item)) to = middle;
    else from = middle + 1;
  }
  return from;
}
