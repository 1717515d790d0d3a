import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { known } from '../../src/mp4/boxes.ts'
import { readFragmentedMp4, type Track } from '../../src/mp4/fragmented-mp4.ts'
import { pictureParts, type PicturePart } from '../../src/mp4/picture-parts.ts'
import { configUnits } from '../../src/mp4/track-header.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { segmentOf, stream, type Piece } from './changing-picture.ts'

const small: Piece = { size: '64x36' }
const large: Piece = { size: '98x50' }
const smallHevc: Piece = { ...small, codec: 'hevc' }
const largeHevc: Piece = { ...large, codec: 'hevc' }

/** The picture of a segment of some units, and its parts, as they are or with another header. */
async function partsOf(
  t: TestContext,
  units: Buffer,
  { codec, header }: Pick<Piece, 'codec'> & { header?: Track['header'] } = {},
): Promise<{ picture: Track; parts: PicturePart[] }> {
  const path = join(await temporaryFolder(t), 'segment.mp4')
  await segmentOf(path, units, codec ? { codec } : {})
  const file = await open(path)
  t.after(async () => file.close())
  const picture = known((await readFragmentedMp4(file))?.tracks[0])
  return { picture, parts: await pictureParts(file, header ? { ...picture, header } : picture) }
}

/** Where parts begin, and what size their headers declare. */
function shapesOf(parts: PicturePart[]): string[] {
  return parts.map(({ first, header: { entry } }) => {
    return `${first} ${entry.readUInt16BE(32)}x${entry.readUInt16BE(34)}`
  })
}

for (const [codec, one, other] of [
  ['H.264', small, large],
  ['HEVC', smallHevc, largeHevc],
] as const)
  test(`${codec} is divided at each keyframe that comes with another size`, async (t) => {
    const units = await stream([one, other, one, one, other])
    const { parts } = await partsOf(t, units, one)
    assert.deepEqual(shapesOf(parts), ['0 64x36', '20 98x50', '40 64x36', '80 98x50'])
  })

test('a picture that repeats its parameter sets is as it was declared', async (t) => {
  for (const piece of [small, smallHevc]) {
    const { parts, picture } = await partsOf(t, await stream([piece, piece]), piece)
    assert.equal(parts.length, 1)
    assert.equal(parts[0]?.header, picture.header)
  }
})

test('a picture that is other than declared from its first frame on is not divided', async (t) => {
  const { picture } = await partsOf(t, await stream([small]))
  const { parts } = await partsOf(t, await stream([large]), { header: picture.header })
  assert.deepEqual(shapesOf(parts), ['0 98x50'])
})

test('parameter sets of other numbers stand beside one another, while the size is the same', async (t) => {
  const numbered = { ...small, params: 'sps-id=3' }
  const alternating = await stream([small, numbered, small, numbered])
  const { parts, picture } = await partsOf(t, alternating)
  assert.deepEqual(shapesOf(parts), ['0 64x36'])
  const sets = (header: Track['header']) => configUnits(header).length
  assert.deepEqual([sets(picture.header), sets(known(parts[0]).header)], [2, 4])
})

test('a size of another number divides, and neither part declares both', async (t) => {
  const numbered = { ...large, params: 'sps-id=3' }
  const { parts } = await partsOf(t, await stream([small, numbered, small]))
  assert.deepEqual(shapesOf(parts), ['0 64x36', '20 98x50', '40 64x36'])
  assert.deepEqual(
    parts.map(({ header }) => configUnits(header).length),
    [2, 2, 2],
  )
})

test('other parameter sets of the same number divide, though the size is the same', async (t) => {
  const other = { ...small, params: 'cabac=1' }
  const { parts } = await partsOf(t, await stream([small, other]))
  assert.deepEqual(shapesOf(parts), ['0 64x36', '20 64x36'])
})

test('of several parameter sets of one number before a keyframe the last counts', async (t) => {
  const [one, other] = await Promise.all([stream([small]), stream([large])])
  const sets = other.subarray(0, other.indexOf(Buffer.from([0, 0, 1, 6])) - 1)
  const keyframe = Buffer.from([0, 0, 0, 1, 0x67])
  const ends = [...one.keys()].filter((at) => one.indexOf(keyframe, at) === at)
  const units = ends.map((at, n) => Buffer.concat([sets, one.subarray(at, ends[n + 1])]))
  const { parts } = await partsOf(t, Buffer.concat(units))
  assert.deepEqual(shapesOf(parts), ['0 64x36'])
})

test('parameter sets are found behind messages of any length', async (t) => {
  const units = await stream([small, large])
  for (const bytes of [100, 3990, 4090, 30_000]) {
    const message = Buffer.alloc(bytes, 0x55)
    message.set([0, 0, 0, 1, 6, 5, ...Array<number>(Math.floor(bytes / 300)).fill(255), 90])
    const keyframe = Buffer.from([0, 0, 0, 1, 0x67])
    const pieces: Buffer[] = []
    for (let at = 0; at < units.length;) {
      const next = units.indexOf(keyframe, at + 1)
      const end = next < 0 ? units.length : next
      pieces.push(message, units.subarray(at, end))
      at = end
    }
    const { parts } = await partsOf(t, Buffer.concat(pieces))
    assert.deepEqual(shapesOf(parts), ['0 64x36', '20 98x50'], `${bytes} bytes`)
  }
})

test('a camera that changes at every keyframe makes a hundred parts of a file, and no more', async (t) => {
  const [one, other] = [
    await stream([{ ...small, seconds: 0.5 }]),
    await stream([{ ...large, seconds: 0.5 }]),
  ]
  const { parts } = await partsOf(
    t,
    Buffer.concat(Array.from({ length: 240 }, (_, n) => (n % 2 ? one : other))),
  )
  assert.equal(parts.length, 100)
})
