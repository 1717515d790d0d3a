import { createHash } from 'node:crypto'
import { lstat, open, type FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { ignoreMissing } from '../segments/folders.ts'
import { isMultipart, partBytes } from './object-store.ts'

/** The content of a file, and the marks by which a change of it shows. */
export interface Fingerprint {
  device: number
  inode: number
  mtimeMs: number
  bytes: number
  /** Of the whole file, 8 hexadecimal digits. */
  crc32: string
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

const readBytes = 1 << 20

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
 * The first `bytes` bytes of a file in pieces; throws SourceChanged if there are fewer. `allocate`
 * may give the same buffer each time to whoever is done with a piece when the next is asked for.
 */
export async function* readExactly(
  file: FileHandle,
  bytes: number,
  pieceBytes: number,
  allocate: (bytes: number) => Buffer = (size) => Buffer.allocUnsafe(size),
): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes;) {
    const piece = allocate(Math.min(pieceBytes, bytes - at))
    const { bytesRead } = await file.read(piece, 0, piece.length, at)
    if (bytesRead === 0) throw new SourceChanged('the file shrank while it was read')
    at += bytesRead
    yield piece.subarray(0, bytesRead)
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
): Promise<Pick<Fingerprint, 'crc32' | 'etag'>> {
  const digest = proof === 'etag' ? digestOf(bytes) : undefined
  let sum = 0
  // New ones would keep the garbage collector busier than the sums the processor.
  const buffer = Buffer.allocUnsafe(Math.min(readBytes, bytes))
  const reuse = (size: number): Buffer => buffer.subarray(0, size)
  for await (const piece of readExactly(file, bytes, readBytes, reuse)) {
    signal.throwIfAborted()
    sum = crc32(piece, sum)
    digest?.update(piece)
  }
  return { crc32: crcText(sum), ...(digest ? { etag: digest.digest('hex') } : {}) }
}

function digestOf(bytes: number): Digest {
  return isMultipart(bytes) ? new PartDigests(partBytes(bytes)) : createHash('md5')
}

interface Digest {
  update(piece: Buffer): unknown
  digest(encoding: 'hex'): string
}

/** Digests as the ETag of a multipart upload does. */
class PartDigests implements Digest {
  readonly #partBytes: number
  readonly #digests: Buffer[] = []
  #part = createHash('md5')
  #filled = 0

  constructor(size: number) {
    this.#partBytes = size
  }

  update(piece: Buffer): void {
    for (let at = 0; at < piece.length;) {
      const slice = piece.subarray(at, at + this.#partBytes - this.#filled)
      this.#part.update(slice)
      this.#filled += slice.length
      at += slice.length
      if (this.#filled === this.#partBytes) this.#close()
    }
  }

  digest(encoding: 'hex'): string {
    if (this.#filled > 0) this.#close()
    const digest = createHash('md5').update(Buffer.concat(this.#digests)).digest(encoding)
    return `${digest}-${this.#digests.length}`
  }

  #close(): void {
    this.#digests.push(this.#part.digest())
    this.#part = createHash('md5')
    this.#filled = 0
  }
}
