import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { crcText, fingerprint, Summing, type Proof } from '../../src/uploader/fingerprint.ts'
import { partRanges } from '../../src/uploader/object-store.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const never = new AbortController().signal
const mebibyte = 1024 * 1024

/** As S3 documents them. */
function expectedSums(content: Buffer): { whole: string; parts: string[]; etag: string } {
  const parts = partRanges(content.length).map(({ at, bytes }) => content.subarray(at, at + bytes))
  const md5s = parts.map((part) => createHash('md5').update(part).digest())
  const joined = createHash('md5').update(Buffer.concat(md5s)).digest('hex')
  return {
    whole: crcText(crc32(content)),
    parts: parts.map((part) => crcText(crc32(part))),
    etag: parts.length > 1 ? `${joined}-${parts.length}` : (md5s[0]?.toString('hex') ?? ''),
  }
}

for (const [what, bytes] of [
  ['nothing', 0],
  ['what goes up whole', 5 * mebibyte + 7],
  ['what goes up in parts', 70 * mebibyte + 7],
] as const)
  test(`the sums of ${what} are those that S3 makes, however it comes in pieces`, async (t) => {
    const content = randomBytes(bytes)
    const path = join(await temporaryFolder(t), 'content')
    await writeFile(path, content)
    const { whole, parts, etag } = expectedSums(content)
    const byProof: [Proof, object][] = [
      ['crc32', parts.length > 1 ? { partCrc32s: parts } : {}],
      ['etag', { etag }],
    ]
    for (const [proof, more] of byProof) {
      const expected = { bytes, crc32: whole, ...more }
      for (const pieceBytes of [333_333, mebibyte, 40 * mebibyte]) {
        const summing = new Summing(bytes, proof)
        for (let at = 0; at < bytes; at += pieceBytes)
          summing.add(content.subarray(at, at + pieceBytes))
        assert.deepEqual(summing.finish(), expected, `${proof}, pieces of ${pieceBytes}`)
      }
      const {
        device: _,
        inode: __,
        mtimeMs: ___,
        ...ofFile
      } = await fingerprint(path, proof, never)
      assert.deepEqual(ofFile, expected)
    }
  })
