# A tree of processes that burn a core each and count their work, so that a freeze without loss can be shown.
# usage: perl burner.pl RECORDS PROCESSES ROUNDS [CGROUP]
# RECORDS holds 16 bytes a process, little-endian: the steps done (u64) and a chain over them (u64, 32 bits used).
# The chain of step n is made from that of step n-1: it is right only when every step was done once and in order.
use strict;
use warnings;

my ($records, $processes, $rounds, $cgroup) = @ARGV;
$SIG{TERM} = sub { exit 0 };
if (defined $cgroup) {
  open(my $procs, '>', "$cgroup/cgroup.procs") or die "$cgroup: $!";
  syswrite($procs, "0") or die "$cgroup: $!";
  close $procs;
}
my $starter = getppid();

sub work {
  my ($slot, $parent) = @_;
  open(my $file, '+<', $records) or die "$records: $!";
  my ($steps, $chain) = (0, $slot);
  while (1) {
    my $spin = 0;
    $spin += $_ & 7 for 1 .. $rounds;
    $steps++;
    $chain = ($chain * 69069 + $steps) & 0xffffffff;
    sysseek($file, $slot * 16, 0);
    syswrite($file, pack('Q<Q<', $steps, $chain)) == 16 or exit 1;
    # The tree ends with whoever started it, even when that is killed.
    exit 0 if getppid() != $parent;
  }
}

# Two levels: the first process starts the second half through a child of its own.
my $half = int($processes / 2);
sub start {
  my ($from, $to) = @_;
  my $parent = $$;
  for my $slot ($from .. $to - 1) {
    my $pid = fork() // die "fork: $!";
    work($slot, $parent) if $pid == 0;
  }
}
my $first = $$;
my $branch = fork() // die "fork: $!";
if ($branch == 0) {
  start($half, $processes);
  while (getppid() == $first) { select(undef, undef, undef, 0.2) }
  exit 0;
}
start(0, $half);
while (getppid() == $starter) { select(undef, undef, undef, 0.2) }
