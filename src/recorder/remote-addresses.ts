import { lookup } from 'node:dns/promises'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { BlockList, isIPv4, SocketAddress } from 'node:net'
import { endianness } from 'node:os'

/** Addresses of this machine and of its own link: no camera has a reason to lead there. */
const inside = new BlockList()
inside.addSubnet('0.0.0.0', 8, 'ipv4')
inside.addSubnet('127.0.0.0', 8, 'ipv4')
inside.addSubnet('169.254.0.0', 16, 'ipv4')
inside.addSubnet('::', 127, 'ipv6')
inside.addSubnet('fe80::', 10, 'ipv6')

/** Where a process is connected to that nobody has named. */
export interface Strangers {
  /** Addresses of this machine or its link. */
  inside: string[]
  others: string[]
}

/**
 * The remote addresses of a process that none of these hosts has; undefined where that can't be told,
 * for the name server is gone.
 */
export async function strangersOf(pid: number, hosts: string[]): Promise<Strangers | undefined> {
  const remote = remoteAddresses(pid)
  const found = await Promise.allSettled(hosts.map(async (host) => lookup(host, { all: true })))
  const named = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  if (named.length === 0) return undefined
  const known = new Set(named.map(({ address }) => canonical(address)))
  const strange = remote.filter((address) => !known.has(address))
  const isInside = (address: string): boolean =>
    inside.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
  return { inside: strange.filter(isInside), others: strange.filter((it) => !isInside(it)) }
}

/** Whom a process is connected to by TCP; nobody, if it has ended. */
function remoteAddresses(pid: number): string[] {
  const folder = `/proc/${pid}`
  // Read at once: a connection may be short.
  const connections = ['tcp', 'tcp6'].flatMap((name) =>
    parseTcpTable(ifThere(() => readFileSync(`${folder}/net/${name}`, 'utf8')) ?? ''),
  )
  const descriptors = ifThere(() => readdirSync(`${folder}/fd`)) ?? []
  const targets = descriptors.map((name) => ifThere(() => readlinkSync(`${folder}/fd/${name}`)))
  const own = connections.filter(({ inode }) => targets.includes(`socket:[${inode}]`))
  return [...new Set(own.map(({ remote }) => remote))]
}

function ifThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Reads `/proc/net/tcp` or `tcp6`: a line a socket, of which those that are connected count. */
export function parseTcpTable(text: string): { inode: string; remote: string }[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/)
    const [hexadecimal = '', port] = fields[2]?.split(':') ?? []
    const inode = fields[9]
    if (!inode || !port || !/^([0-9A-F]{8}){1,4}$/.test(hexadecimal)) return []
    return port === '0000' ? [] : [{ inode, remote: addressOf(hexadecimal) }]
  })
}

/** The kernel prints words of four bytes, as this machine has them. */
function addressOf(hexadecimal: string): string {
  const bytes = Buffer.from(hexadecimal, 'hex')
  if (endianness() === 'LE') bytes.swap32()
  if (bytes.length === 4) return bytes.join('.')
  return canonical(bytes.toString('hex').replaceAll(/.{4}(?!$)/g, '$&:'))
}

/** One spelling for each address; IPv4 in IPv6 is IPv4. */
function canonical(address: string): string {
  const [bare = ''] = address.split('%')
  if (isIPv4(bare)) return bare
  const spelled = new SocketAddress({ address: bare, family: 'ipv6' }).address
  return spelled.replace(/^::ffff:(?=\d+\.)/, '')
}
