export function postgres(_: {url: string}): never { throw new Error("x"); }
