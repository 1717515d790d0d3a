import { need } from './boxes.ts'
import type { BitReader } from './bits.ts'

/** What a sequence parameter set says of itself and the picture. */
export interface PictureFormat {
  /** The number of the set. */
  id: number
  width: number
  height: number
  /** Width and height of a pixel; undefined where nothing is said of it. */
  pixel: [number, number] | undefined
  chromaFormat: number
  lumaBits: number
  chromaBits: number
}

/** H.264's profiles whose parameter sets say more (ITU-T H.264, 7.3.2.1.1). */
export const highProfiles = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])
/** Pixels by number (ITU-T H.264, table E-1; the same in H.265). */
const pixels: [number, number][] = [
  ...([
    [1, 1],
    [12, 11],
    [10, 11],
    [16, 11],
    [40, 33],
    [24, 11],
    [20, 11],
    [32, 11],
  ] as const),
  ...([
    [80, 33],
    [18, 11],
    [15, 11],
    [64, 33],
    [160, 99],
    [4, 3],
    [3, 2],
    [2, 1],
  ] as const),
].map(([width, height]) => [width, height])
const ownPixel = 255
/** Limits of the standards, against damage. */
const [mostSets, mostPictures, mostSide] = [64, 32, 16_384]

/** Reads H.264's, behind its header (ITU-T H.264, 7.3.2.1.1). */
export function readH264Format(sps: BitReader): PictureFormat {
  const profile = sps.bits(8)
  sps.skip(16)
  const id = sps.ue()
  const { chromaFormat, lumaBits, chromaBits, hasPlanes } = highProfiles.has(profile)
    ? readH264Depths(sps)
    : { chromaFormat: 1, lumaBits: 8, chromaBits: 8, hasPlanes: false }
  sps.ue()
  skipPictureOrder(sps)
  sps.ue()
  sps.skip(1)
  const width = (sps.ue() + 1) * 16
  const mapUnits = sps.ue() + 1
  const isProgressive = sps.flag()
  if (!isProgressive) sps.skip(1)
  const lines = isProgressive ? 1 : 2
  const height = mapUnits * 16 * lines
  sps.skip(1)
  const unit = hasPlanes ? [1, 1] : chromaUnit(chromaFormat)
  const cropped = readCropping(sps, [unit[0] ?? 1, (unit[1] ?? 1) * lines])
  const pixel = sps.flag() ? readPixel(sps) : undefined
  const size = sizeOf({ width, height }, cropped)
  return { id, ...size, pixel, chromaFormat, lumaBits, chromaBits }
}

function readH264Depths(
  sps: BitReader,
): Pick<PictureFormat, 'chromaFormat' | 'lumaBits' | 'chromaBits'> & { hasPlanes: boolean } {
  const chromaFormat = sps.ue()
  need(chromaFormat <= 3)
  const hasPlanes = chromaFormat === 3 && sps.flag()
  const [lumaBits, chromaBits] = [readDepth(sps), readDepth(sps)]
  sps.skip(1)
  if (sps.flag())
    for (let list = 0; list < (chromaFormat === 3 ? 12 : 8); list += 1)
      if (sps.flag()) skipScalingList(sps, list < 6 ? 16 : 64)
  return { chromaFormat, lumaBits, chromaBits, hasPlanes }
}

function skipScalingList(sps: BitReader, entries: number): void {
  let [last, next] = [8, 8]
  for (let n = 0; n < entries; n += 1) {
    if (next !== 0) next = (last + sps.se() + 256) % 256
    last = next === 0 ? last : next
  }
}

function skipPictureOrder(sps: BitReader): void {
  const type = sps.ue()
  if (type === 0) sps.ue()
  if (type !== 1) return
  sps.skip(1)
  sps.se()
  sps.se()
  const frames = sps.ue()
  need(frames <= 255)
  for (let n = 0; n < frames; n += 1) sps.se()
}

/** Reads HEVC's, behind its header (ITU-T H.265, 7.3.2.2.1). */
export function readHevcFormat(sps: BitReader): PictureFormat {
  sps.skip(4)
  const layers = sps.bits(3) + 1
  sps.skip(1)
  skipProfile(sps, layers)
  const id = sps.ue()
  const chromaFormat = sps.ue()
  need(chromaFormat <= 3)
  const hasPlanes = chromaFormat === 3 && sps.flag()
  const [width, height] = [sps.ue(), sps.ue()]
  const cropped = readCropping(sps, hasPlanes ? [1, 1] : chromaUnit(chromaFormat))
  const [lumaBits, chromaBits] = [readDepth(sps), readDepth(sps)]
  const size = sizeOf({ width, height }, cropped)
  const pixel = readHevcPixel(sps, layers)
  return { id, ...size, pixel, chromaFormat, lumaBits, chromaBits }
}

/** Profile, tier and level: of the whole, and of each layer in time. */
function skipProfile(sps: BitReader, layers: number): void {
  sps.skip(96)
  if (layers === 1) return
  const flags = Array.from({ length: 8 }, () => [sps.flag(), sps.flag()])
  for (const [hasProfile, hasLevel] of flags.slice(0, layers - 1))
    sps.skip((hasProfile ? 88 : 0) + (hasLevel ? 8 : 0))
}

/** What lies between the depths and the shape of a pixel. */
function readHevcPixel(sps: BitReader, layers: number): [number, number] | undefined {
  const orderBits = sps.ue() + 4
  need(orderBits <= 16)
  for (let layer = sps.flag() ? 0 : layers - 1; layer < layers; layer += 1)
    for (let n = 0; n < 3; n += 1) sps.ue()
  for (let n = 0; n < 6; n += 1) sps.ue()
  if (sps.flag() && sps.flag()) skipHevcScalingLists(sps)
  sps.skip(2)
  if (sps.flag()) {
    sps.skip(8)
    sps.ue()
    sps.ue()
    sps.skip(1)
  }
  skipShortTermSets(sps)
  if (sps.flag()) {
    const pictures = sps.ue()
    need(pictures <= mostPictures)
    sps.skip(pictures * (orderBits + 1))
  }
  sps.skip(2)
  return sps.flag() ? readPixel(sps) : undefined
}

function skipHevcScalingLists(sps: BitReader): void {
  for (let size = 0; size < 4; size += 1)
    for (let matrix = 0; matrix < 6; matrix += size === 3 ? 3 : 1) {
      if (!sps.flag()) {
        sps.ue()
        continue
      }
      if (size > 1) sps.se()
      for (let n = 0; n < Math.min(64, 16 << (2 * size)); n += 1) sps.se()
    }
}

/** Which pictures refer to which (ITU-T H.265, 7.3.7). */
function skipShortTermSets(sps: BitReader): void {
  const sets = sps.ue()
  need(sets <= mostSets)
  let pictures = 0
  for (let set = 0; set < sets; set += 1)
    pictures = set > 0 && sps.flag() ? skipPredictedSet(sps, pictures) : skipListedSet(sps)
}

function skipPredictedSet(sps: BitReader, before: number): number {
  sps.skip(1)
  sps.ue()
  let pictures = 0
  for (let n = 0; n <= before; n += 1) {
    const isUsed = sps.flag()
    if (isUsed || sps.flag()) pictures += 1
  }
  need(pictures <= mostPictures)
  return pictures
}

function skipListedSet(sps: BitReader): number {
  const pictures = sps.ue() + sps.ue()
  need(pictures <= mostPictures)
  for (let n = 0; n < pictures; n += 1) {
    sps.ue()
    sps.skip(1)
  }
  return pictures
}

function readDepth(sps: BitReader): number {
  const bits = sps.ue() + 8
  need(bits <= 16)
  return bits
}

/** How many pixels the smallest unit of colour covers, across and down. */
function chromaUnit(chromaFormat: number): [number, number] {
  return [chromaFormat === 1 || chromaFormat === 2 ? 2 : 1, chromaFormat === 1 ? 2 : 1]
}

/** What is cut off at the edges, which are given in such units: left and right, top and bottom. */
function readCropping(sps: BitReader, [across = 1, down = 1]: number[]): [number, number] {
  if (!sps.flag()) return [0, 0]
  const sides = (sps.ue() + sps.ue()) * across
  return [sides, (sps.ue() + sps.ue()) * down]
}

function sizeOf(
  { width, height }: { width: number; height: number },
  [sides, ends]: [number, number],
): { width: number; height: number } {
  const size = { width: width - sides, height: height - ends }
  need(size.width > 0 && size.width <= mostSide && size.height > 0 && size.height <= mostSide)
  return size
}

/** At the beginning of what a set says of how the picture is shown (annex E in both standards). */
function readPixel(sps: BitReader): [number, number] | undefined {
  if (!sps.flag()) return undefined
  const number = sps.bits(8)
  const pixel = number === ownPixel ? ([sps.bits(16), sps.bits(16)] as const) : pixels[number - 1]
  return pixel && pixel[0] > 0 && pixel[1] > 0 ? [pixel[0], pixel[1]] : undefined
}
