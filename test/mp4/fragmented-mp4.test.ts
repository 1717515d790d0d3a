import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { readBoxes } from '../../src/mp4/boxes.ts'
import { SeededRandom, seedOf } from '../support/seeded-random.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { firstDifference, packetsOf, writePlain, type Packet } from './packets.ts'
import { finalized, fragmented } from '../uploader/workbench.ts'

/** A copy of what the recorder leaves, its content, and where it may be written plain. */
async function recording(
  t: TestContext,
): Promise<{ path: string; plain: string; whole: Buffer; index: number[] }> {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'source.mp4')
  await copyFile(await fragmented(), path)
  const index: number[] = []
  let at = 0
  for (const { type, bytes } of await readBoxes(path)) {
    // Nobody reads what is in an mfra: anything of its length will do.
    const indexBytes = type === 'mdat' || type === 'mfra' ? 8 : bytes
    for (let n = 0; n < indexBytes; n += 1) index.push(at + n)
    at += bytes
  }
  return { path, plain: join(folder, 'plain.mp4'), whole: await readFile(path), index }
}

test('with bits flipped anywhere a file is not known, or holds what ffprobe reads in it', async (t) => {
  const { path, plain, whole, index } = await recording(t)
  const random = new SeededRandom(seedOf(t))
  let known = 0
  for (let n = 0; n < 150; n += 1) {
    const damaged = Buffer.from(whole)
    const flips = Array.from({ length: 1 + random.below(3) }, () => {
      const at = random.chance(0.9) ? random.pick(index) : random.below(whole.length)
      return [at, 1 << random.below(8)] as const
    })
    for (const [at, bit] of flips) damaged.writeUInt8(damaged.readUInt8(at) ^ bit, at)
    await writeFile(path, damaged)
    await rm(plain, { force: true })
    if (!(await writePlain(path, plain))) continue
    known += 1
    const [read, written] = await Promise.all([packetsOf(path), packetsOf(plain)])
    assert.equal(firstDifference(written, read), undefined, `flipped: ${JSON.stringify(flips)}`)
  }
  t.diagnostic(`known all the same: ${known} of 150`)
})

test('of a file that is cut off what is whole is known, packet for packet', async (t) => {
  const { path, plain, whole } = await recording(t)
  const random = new SeededRandom(seedOf(t))
  const all = await packetsOf(path)
  let known = 0
  for (let n = 0; n < 60; n += 1) {
    const bytes = random.below(whole.length)
    await writeFile(path, whole)
    await truncate(path, bytes)
    await rm(plain, { force: true })
    if (!(await writePlain(path, plain))) continue
    known += 1
    const packets = await packetsOf(plain)
    for (const stream of ['0', '1']) {
      const of = (list: Packet[]): Packet[] => list.filter(({ content }) => content[0] === stream)
      const [some, every] = [of(packets), of(all)]
      const difference = firstDifference(some, every.slice(0, some.length))
      assert.equal(difference, undefined, `cut off at ${bytes}`)
    }
  }
  t.diagnostic(`known: ${known} of 60`)
  assert.ok(known > 30)
})

test('a file that goes on behind its end is not known', async (t) => {
  const { path, plain, whole } = await recording(t)
  for (const more of [Buffer.alloc(1), Buffer.alloc(3000), whole]) {
    await writeFile(path, Buffer.concat([whole, more]))
    assert.equal(await writePlain(path, plain), undefined, `${more.length} bytes more`)
  }
})

test('a file that a crash left behind a whole fragment is known', async (t) => {
  const { path, plain, whole } = await recording(t)
  const boxes = await readBoxes(path)
  const last = boxes.at(-1)
  assert.equal(last?.type, 'mfra')
  await truncate(path, whole.length - last.bytes)
  assert.ok(await writePlain(path, plain))
  assert.equal(firstDifference(await packetsOf(plain), await packetsOf(path)), undefined)
})

test('bytes at random, and copied from one place to another, do no harm', async (t) => {
  const { path, plain, whole, index } = await recording(t)
  const random = new SeededRandom(seedOf(t))
  for (let n = 0; n < 200; n += 1) {
    const noise = Buffer.from(
      Array.from({ length: 1 + random.below(300) }, () => random.below(256)),
    )
    // At the beginning, and then as the content of boxes that are in their place.
    const head = random.chance(0.5) ? 0 : random.pick(index)
    await writeFile(path, Buffer.concat([whole.subarray(0, head), noise]))
    await rm(plain, { force: true })
    await writePlain(path, plain)
    const damaged = Buffer.from(whole)
    const [from, to] = [random.pick(index), random.pick(index)]
    damaged.copy(damaged, to, from, from + 4 + random.below(60))
    await writeFile(path, damaged)
    await rm(plain, { force: true })
    await writePlain(path, plain)
  }
})

/** Each is something that the recorder never writes. */
const strangers: Record<string, string[]> = {
  'an index that is written late': ['-movflags', '+empty_moov+default_base_moof+delay_moov'],
  'samples in the first index': ['-movflags', '+frag_keyframe+default_base_moof'],
  'places counted from the beginning': ['-movflags', '+empty_moov+frag_keyframe'],
  'composition offsets below zero': [
    ...['-movflags', '+empty_moov+default_base_moof+frag_keyframe+negative_cts_offsets'],
  ],
  'an index of segments': ['-movflags', '+empty_moov+default_base_moof+dash+global_sidx'],
  encryption: [
    ...['-movflags', '+empty_moov+default_base_moof+frag_keyframe'],
    ...['-encryption_scheme', 'cenc-aes-ctr', '-encryption_key', '01'.repeat(16)],
    ...['-encryption_kid', '02'.repeat(16)],
  ],
  'a second sound track': [
    ...['-map', '0', '-map', '0:a', '-movflags', '+empty_moov+default_base_moof+frag_keyframe'],
  ],
  'no video': ['-vn', '-movflags', '+empty_moov+default_base_moof+frag_keyframe'],
}

for (const [what, options] of Object.entries(strangers))
  test(`a file with ${what} is not known`, async (t) => {
    const { path, plain } = await recording(t)
    const copy = ['-c', 'copy', ...options, `${path}.mp4`]
    await promisify(execFile)('ffmpeg', ['-v', 'error', '-i', path, ...copy])
    assert.ok((await stat(`${path}.mp4`)).size > 10_000)
    assert.equal(await writePlain(`${path}.mp4`, plain), undefined)
  })

test('a plain file is not known', async (t) => {
  const { plain } = await recording(t)
  assert.equal(await writePlain(await finalized(), plain), undefined)
})
