/** An entry of a tar as somebody with bad intentions writes it. */
export interface RawEntry {
  readonly path: string;
  readonly prefix?: string;
  readonly type?: string;
  readonly link?: string;
  readonly body?: string;
  readonly sizeBytes?: number;
  readonly checksum?: number;
}

/** A tar that was not made by the code under test. */
export function archive(entries: readonly RawEntry[]): Buffer {
  const blocks = entries.flatMap(({ path, prefix = "", type = "0", link = "", body = "", sizeBytes = Buffer.byteLength(body), checksum }) => {
    const header = Buffer.alloc(512);
    header.write(path, 0, 100);
    header.write("0000644", 100);
    header.write(sizeBytes.toString(8).padStart(11, "0"), 124);
    header.write("        ", 148);
    header.write(type, 156);
    header.write(link, 157, 100);
    header.write("ustar\x0000", 257);
    header.write(prefix, 345, 155);
    const sum = checksum ?? header.reduce((before, byte) => before + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const padded = Buffer.alloc(Math.ceil(Buffer.byteLength(body) / 512) * 512);
    padded.write(body);
    return [header, padded];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1_024)]);
}
