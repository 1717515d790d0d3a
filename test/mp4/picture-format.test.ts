import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { makeConfig } from '../../src/mp4/decoder-config.ts'
import { readFragmentedMp4 } from '../../src/mp4/fragmented-mp4.ts'
import { readUnit, type ParameterSet, type PictureCodec } from '../../src/mp4/parameter-sets.ts'
import { configUnits, withParameterSets, type TrackHeader } from '../../src/mp4/track-header.ts'
import { SeededRandom, seedOf } from '../support/seeded-random.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { asFragments, encoderArgs, type Piece } from './changing-picture.ts'

const run = promisify(execFile)

const filtered = (filter: string, pixels = 'yuv420p'): string[] => [
  '-vf',
  filter,
  '-pix_fmt',
  pixels,
]
const zoo: Record<string, Piece> = {
  'H.264 that is cropped': { size: '322x182' },
  'H.264 of high profile, with scaling lists': {
    ...{ size: '320x180', params: 'cqm=jvt:8x8dct=1', options: ['-profile:v', 'high'] },
  },
  'H.264 that is interlaced': { size: '320x184', params: 'tff=1', options: filtered('setsar=1') },
  'H.264 of pixels that are not square': { size: '704x576', options: filtered('setsar=12/11') },
  'H.264 of pixels of its own': { size: '320x180', options: filtered('setsar=7/5') },
  'H.264 of 4:2:2 and 10 bits': { size: '322x181', options: ['-pix_fmt', 'yuv422p10le'] },
  'H.264 of 4:4:4': { size: '321x181', options: ['-pix_fmt', 'yuv444p'] },
  'H.264 of another number': { size: '320x180', params: 'sps-id=21' },
  'HEVC that is cropped': { codec: 'hevc', size: '322x182' },
  'HEVC of pixels that are not square': {
    ...{ codec: 'hevc', size: '704x576', options: filtered('setsar=16/11') },
  },
  'HEVC of 10 bits': { codec: 'hevc', size: '320x180', options: ['-pix_fmt', 'yuv420p10le'] },
  'HEVC of 4:2:2': { codec: 'hevc', size: '322x181', options: ['-pix_fmt', 'yuv422p'] },
  'HEVC with scaling lists, B-frames and layers in time': {
    codec: 'hevc',
    size: '320x180',
    params: 'scaling-list=default:bframes=4:b-pyramid=1:temporal-layers=2:long-term-refs=1',
    options: filtered('setsar=4/3'),
  },
}

/** The header of a picture's track as FFmpeg writes it. */
async function headerOf(t: TestContext, piece: Piece): Promise<TrackHeader> {
  const path = join(await temporaryFolder(t), 'picture.mp4')
  await run('ffmpeg', [...encoderArgs({ ...piece, seconds: 0.1 }), ...asFragments, path])
  const file = await open(path)
  try {
    const movie = await readFragmentedMp4(file)
    const header = movie?.tracks[0]?.header
    assert.ok(header)
    return header
  } finally {
    await file.close()
  }
}

function setsOf(header: TrackHeader): ParameterSet[] {
  return configUnits(header).flatMap((unit) => {
    const read = readUnit(header.codec as PictureCodec, unit)
    return read.kind === 'slice' || read.kind === 'other' ? [] : [read]
  })
}

for (const [what, piece] of Object.entries(zoo))
  test(`${what}: its parameter sets say what FFmpeg says, and make the same header`, async (t) => {
    const header = await headerOf(t, piece)
    const codec = header.codec as PictureCodec
    const sets = setsOf(header)
    const [sps] = sets.flatMap((set) => (set.kind === 'sps' ? [set] : []))
    assert.ok(sps)
    const { width, height, pixel } = sps.format
    const pasp = header.entry.indexOf('pasp')
    const [across, down] = [4, 8].map((at) => header.entry.readUInt32BE(pasp + at))
    assert.deepEqual(
      [width, height],
      [header.entry.readUInt16BE(32), header.entry.readUInt16BE(34)],
    )
    if (pixel) assert.deepEqual(pixel, [across, down])
    else assert.ok(pasp < 0 || across === down)

    const config = makeConfig(codec, sets)
    const at = header.entry.indexOf(codec === 'h264' ? 'avcC' : 'hvcC') + 4
    const declared = header.entry.subarray(at, at + config.length)
    // What HEVC says of slices and of the frame rate, and whatever leads a keyframe in besides, is no matter.
    const known = codec === 'h264' ? declared : declared.subarray(0, 13)
    assert.deepEqual(config.subarray(0, known.length), known)
    const made = withParameterSets(header, codec, { sets, format: sps.format })
    const sizes = made.tkhd.subarray(84)
    if (pixel) assert.deepEqual(sizes, header.tkhd.subarray(84))
    assert.deepEqual(made.entry.subarray(8, 86), header.entry.subarray(8, 86))
    assert.deepEqual(
      setsOf(made).map(({ unit }) => unit),
      sets.map(({ unit }) => unit),
    )
  })

test('a parameter set that is damaged is read or is none, but does no harm', async (t) => {
  const random = new SeededRandom(seedOf(t))
  for (const what of ['H.264 of high profile, with scaling lists', 'HEVC that is cropped']) {
    const header = await headerOf(t, zoo[what] ?? { size: '' })
    for (const { unit } of setsOf(header))
      for (let n = 0; n < 2000; n += 1) {
        const damaged = Buffer.from(unit.subarray(0, 1 + random.below(unit.length)))
        for (let flips = random.below(4); flips >= 0; flips -= 1)
          damaged.writeUInt8(random.below(256), random.below(damaged.length))
        assert.ok(readUnit(header.codec as PictureCodec, damaged).kind.length > 0)
      }
  }
})
