import { createHash } from 'node:crypto'
import { lstat, open, type FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { ignoreMissing } from '../segments/folders.ts'
import { partRanges, type ByteRange } from './object-store.ts'
import { giveReadBuffer, takeReadBuffer } from './read-buffers.ts'

/** What proves a content. */
export interface Sums {
  bytes: number
  /** Of the whole, 8 hexadecimal digits. */
  crc32: string
  /** Of each part, where a file goes up in parts and the store keeps the CRC32. */
  partCrc32s?: string[]
  /**
   * The ETag that S3 gives it: its MD5, or the MD5 of its parts' MD5s and their number. Absent
   * where the store keeps the CRC32, which costs a fifth of it.
   */
  etag?: string
}

/** The content of a file, and the marks by which a change of it shows. */
export interface Fingerprint extends Sums {
  device: number
  inode: number
  mtimeMs: number
}

/** Which of its sums a store proves a content by. */
export type Proof = 'crc32' | 'etag'

/** The file was written to, cut or replaced while it was read. */
export class SourceChanged extends Error {}

/** Sums up a content of so many bytes, which comes in pieces. */
export class Summing {
  readonly #proof: Proof
  readonly #isWhole: boolean
  /** Where each part ends that has one behind it. */
  readonly #ends: number[]
  #bytes = 0
  #whole = 0
  #part = 0
  #digest = createHash('md5')
  readonly #partCrc32s: string[] = []
  readonly #digests: Buffer[] = []

  constructor(bytes: number, proof: Proof) {
    this.#proof = proof
    const parts = partRanges(bytes)
    this.#isWhole = parts.length === 1
    this.#ends = parts.slice(0, -1).map((part) => part.at + part.bytes)
  }

  add(piece: Buffer): void {
    for (let rest = piece; rest.length > 0;) {
      const end = this.#ends[0] ?? Infinity
      const ofPart = rest.subarray(0, end - this.#bytes)
      this.#whole = crc32(ofPart, this.#whole)
      if (this.#proof === 'etag') this.#digest.update(ofPart)
      else if (!this.#isWhole) this.#part = crc32(ofPart, this.#part)
      this.#bytes += ofPart.length
      if (this.#bytes === end) this.#endPart()
      rest = rest.subarray(ofPart.length)
    }
  }

  /** Once, when all has come. */
  finish(): Sums {
    this.#endPart()
    const sums = { bytes: this.#bytes, crc32: crcText(this.#whole) }
    if (this.#proof === 'etag') return { ...sums, etag: etagOf(this.#digests) }
    return this.#isWhole ? sums : { ...sums, partCrc32s: this.#partCrc32s }
  }

  #endPart(): void {
    this.#ends.shift()
    this.#digests.push(this.#digest.digest())
    this.#partCrc32s.push(crcText(this.#part))
    this.#digest = createHash('md5')
    this.#part = 0
  }
}

/** Reads a file once for all its checksums; throws SourceChanged if it doesn't hold still. */
export async function fingerprint(
  path: string,
  proof: Proof,
  signal: AbortSignal,
): Promise<Fingerprint> {
  const file = await open(path, 'r')
  try {
    const { dev, ino, size, mtimeMs } = await file.stat()
    const summing = new Summing(size, proof)
    const buffer = takeReadBuffer()
    for await (const piece of readExactly(file, { at: 0, bytes: size }, () => buffer)) {
      signal.throwIfAborted()
      summing.add(piece)
    }
    giveReadBuffer(buffer)
    const result = { device: dev, inode: ino, mtimeMs, ...summing.finish() }
    if (!(await isUnchanged(path, result))) throw new SourceChanged(`${path} changed`)
    return result
  } finally {
    await file.close()
  }
}

/** Of a file that we have just written; throws SourceChanged if it is another by now. */
export async function fingerprintOfWritten(path: string, sums: Sums): Promise<Fingerprint> {
  const { dev, ino, size, mtimeMs } = await lstat(path)
  if (size !== sums.bytes) throw new SourceChanged(`${path} changed`)
  return { device: dev, inode: ino, mtimeMs, ...sums }
}

/** Whether a path still names the same file, with the same size and mtime. */
export async function isUnchanged(
  path: string,
  { device, inode, bytes, mtimeMs }: Omit<Fingerprint, 'crc32' | 'etag'>,
): Promise<boolean> {
  const now = await lstat(path).catch(ignoreMissing)
  return now?.dev === device && now.ino === inode && now.size === bytes && now.mtimeMs === mtimeMs
}

/**
 * A range of a file in pieces; throws SourceChanged if the file ends before. `allocate` may give
 * the same buffer each time to whoever is done with a piece when the next is asked for.
 */
export async function* readExactly(
  file: FileHandle,
  range: ByteRange,
  allocate: () => Buffer,
): AsyncGenerator<Buffer> {
  const end = range.at + range.bytes
  for (let { at } = range; at < end;) {
    const buffer = allocate()
    const piece = buffer.subarray(0, Math.min(buffer.length, end - at))
    // Some file systems give less than they are asked for.
    for (let filled = 0; filled < piece.length;) {
      const { bytesRead } = await file.read(piece, filled, piece.length - filled, at + filled)
      if (bytesRead === 0) throw new SourceChanged('the file shrank while it was read')
      filled += bytesRead
    }
    at += piece.length
    yield piece
  }
}

/** A CRC32 as our metadata and ledger write it. */
export function crcText(sum: number): string {
  return sum.toString(16).padStart(8, '0')
}

/** As S3 makes it of the MD5s of an object's parts, or of its one. */
function etagOf(digests: Buffer[]): string {
  const [only] = digests
  if (only && digests.length === 1) return only.toString('hex')
  const digest = createHash('md5').update(Buffer.concat(digests))
  return `${digest.digest('hex')}-${digests.length}`
}
