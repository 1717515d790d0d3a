import { createHash } from 'node:crypto'
import { lstat, open, type FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { ignoreMissing } from '../segments/folders.ts'
import { partRanges, type ByteRange } from './object-store.ts'
import { giveReadBuffer, takeReadBuffer } from './read-buffers.ts'

/** The content of a file, and the marks by which a change of it shows. */
export interface Fingerprint {
  device: number
  inode: number
  mtimeMs: number
  bytes: number
  /** Of the whole file, 8 hexadecimal digits. */
  crc32: string
  /** Of each part, where a file goes up in parts and the store keeps the CRC32. */
  partCrc32s?: string[]
  /**
   * The ETag that S3 gives it: its MD5, or the MD5 of its parts' MD5s and their number. Absent
   * where the store keeps the CRC32, which costs a fifth of it.
   */
  etag?: string
}

/** Which of its sums a store proves a content by. */
export type Proof = 'crc32' | 'etag'

/** The file was written to, cut or replaced while it was read. */
export class SourceChanged extends Error {}

/** Reads a file once for all its checksums; throws SourceChanged if it doesn't hold still. */
export async function fingerprint(
  path: string,
  proof: Proof,
  signal: AbortSignal,
): Promise<Fingerprint> {
  const file = await open(path, 'r')
  try {
    const { dev, ino, size, mtimeMs } = await file.stat()
    const sums = await checksums(file, { bytes: size, proof }, signal)
    const result = { device: dev, inode: ino, mtimeMs, bytes: size, ...sums }
    if (!(await isUnchanged(path, result))) throw new SourceChanged(`${path} changed`)
    return result
  } finally {
    await file.close()
  }
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

async function checksums(
  file: FileHandle,
  { bytes, proof }: { bytes: number; proof: Proof },
  signal: AbortSignal,
): Promise<Pick<Fingerprint, 'crc32' | 'partCrc32s' | 'etag'>> {
  const parts = partRanges(bytes)
  const digests: Buffer[] = []
  const partCrc32s: string[] = []
  let whole = 0
  const buffer = takeReadBuffer()
  for (const part of parts) {
    const digest = createHash('md5')
    let sum = 0
    for await (const piece of readExactly(file, part, () => buffer)) {
      signal.throwIfAborted()
      whole = crc32(piece, whole)
      if (proof === 'etag') digest.update(piece)
      else if (parts.length > 1) sum = crc32(piece, sum)
    }
    digests.push(digest.digest())
    partCrc32s.push(crcText(sum))
  }
  giveReadBuffer(buffer)
  const sums = { crc32: crcText(whole) }
  if (proof === 'etag') return { ...sums, etag: etagOf(digests) }
  return parts.length > 1 ? { ...sums, partCrc32s } : sums
}

/** As S3 makes it of the MD5s of an object's parts, or of its one. */
function etagOf(digests: Buffer[]): string {
  const [only] = digests
  if (only && digests.length === 1) return only.toString('hex')
  const digest = createHash('md5').update(Buffer.concat(digests))
  return `${digest.digest('hex')}-${digests.length}`
}
