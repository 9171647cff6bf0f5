/*
 * The takeover of an election: from the observer's wait to a fenced write. README.md beside this file says what is modelled and what
 * is not, and which function of the library each step is.
 *
 * Each option of a `do` is one step, which runs whole, at one instant; between two steps anything may happen. A process that is frozen is
 * one that takes no step. A request takes effect in the step that sends it, or is given up and takes effect late, or never. Its reply comes
 * in the same step or is lost; of those that matter while they are on their way (of a beat, of the fence) the coming is a step of its own.
 *
 * main.ts gives bounds and variant as -D flags.
 */

/* ---- bounds */

#ifndef NODES
#define NODES 2
#endif
#ifndef INCARNATIONS
#define INCARNATIONS 1 /* of each node */
#endif
#ifndef BEATS
#define BEATS 2 /* of each incarnation */
#endif
#ifndef CLAIMS
#define CLAIMS 2 /* that succeed; the first term is there at the beginning */
#endif
#ifndef RESIGNATIONS
#define RESIGNATIONS 1 /* terms that are given up without need */
#endif
#ifndef WRITES
#define WRITES 0 /* fenced transactions that begin */
#endif
#ifndef RESTARTS
#define RESTARTS 0 /* of processes that are not dead in the store */
#endif
#ifndef FAILOVERS
#define FAILOVERS 0
#endif
#ifndef LATE
#define LATE 1 /* requests at a time that were given up and may still take effect: 0 or 1 */
#endif

/* ---- variants */

#define SOUND 0
#define CLAIM_BLIND 1
#define CLAIM_WITHOUT_DEATH 2
#define DECLARE_ANY_BEAT 3
#define DECLARE_ANY_EPOCH 4
#define CLAIM_AND_FENCE_ANY_EPOCH 5
#define NO_FULL_WAIT 6
#define TRUST_FROM_REPLY 7
#define LATE_REPLY_REVIVES_TERM 8
#define KEEP_TERM_OVER_FAILOVER 9
#define ADOPT_UNANSWERED_CLAIM 10
#define BEAT_REVIVES 11
#define BEAT_ANY_NUMBER 12
#define RESIGN_ANY_TOKEN 13
#define RESIGN_CHANGES_EPOCH 14
#define TOKEN_FROM_ROW 15
#define ANNOUNCE_BEFORE_FENCE 16
#define FENCE_DOES_NOT_WAIT 17
#define UNFENCED_WRITE 18
#define GUARD_SMALLER_FENCE 19
/* What is not promised. */
#define GROUP_LOST 20
#define EPOCH_LOST 21
/* Nothing breaks without these. */
#define CLAIM_ANY_TOKEN 30
#define CLAIM_ANY_EPOCH 31
#define CLAIM_BY_DEAD 32
#define CLAIM_OVER_LAPSE 33
#define FENCE_ANY_EPOCH 34
#define FENCE_ANY_HOLDER 35

#ifndef VARIANT
#define VARIANT SOUND
#endif
#define IS(variant) (VARIANT == variant)

/* ---- what must be possible: a search that asks about one of these fails there, and has to */

#define TAKEN_FROM_THE_DEAD 1
#define HANDED_OVER 2
#define TAKEN_AFTER_FAILOVER 3
#define FENCE_PASSED_AGAIN 4
#define LATE_CLAIM_COUNTS 5
#define LATE_BEAT_COUNTS 6
#define CLAIM_GIVEN_BACK 7
#define GUARD_REFUSES 8
#define WRITE_AFTER_WRITE 9
#define LEADS_AGAIN 10

#ifndef WITNESS
#define WITNESS 0
#endif
#define WITNESSED(what, when) assert(WITNESS != what || !(when))

/* ---- what must hold: the name of the variable that is asserted is that of the invariant */

#define TWO_BELIEVERS 1
#define TOKEN_NOT_GREATER 2
#define DEAD_BELIEVES 3
#define WRITE_OUT_OF_ORDER 4
#define WRITE_WITHOUT_FENCE 5
#define WRITE_AFTER_SUCCESSOR 6

/* With ONLY, one is asked about and the others may be broken. */
#ifdef ONLY
#define ASKED(invariant) (ONLY == invariant)
#else
#define ASKED(invariant) true
#endif

bool two_believers;
bool token_not_greater;
bool dead_believes;
bool write_out_of_order;
bool write_without_fence;
bool write_after_successor;

/* ---- what the store keeps */

#define NONE 0

/* Of a presence row. REVIVED is alive after having been dead: only a variant writes it. */
#define ABSENT 0
#define ALIVE 1
#define DEAD 2
#define REVIVED 3

#define ROWS (NODES * INCARNATIONS) /* those of a node stand together, in the order in which it joins */

typedef Store {
  byte state[ROWS];
  byte beat[ROWS];
  byte token;    /* of the election row */
  byte holder;   /* its row and one; NONE: free */
  byte rowEpoch; /* in which the election was last claimed */
  byte fence;
  byte generation;
  byte groupEpoch; /* as the last beat that saw another one wrote it; NONE: there is no group */
  byte written;    /* the token of the last fenced write */
};

Store store;
Store copy; /* a replica as it stands when it becomes the store */
bool copied;
byte epoch = 1; /* of the server */

/* ---- what is asked of it */

#define BEAT 1
#define DECLARE 2
#define CLAIM 3
#define FENCE 4
#define RESIGN 5

typedef Request {
  byte kind;
  byte from;   /* the sender's row */
  byte target; /* DECLARE: whose row */
  byte number; /* BEAT, DECLARE: of a beat. CLAIM: the expected token. FENCE, RESIGN: the token */
  byte seen;   /* BEAT: the highest generation seen. CLAIM: the highest token seen */
  byte epoch;  /* but for BEAT and RESIGN, which are not bound to one */
};

Request late; /* nobody waits for it any more */

/* ---- what a node knows */

/* What a reading shows of the token here: it is older than the claim, it shows it, it shows otherwise. */
#define OLDER 0
#define SHOWN 1
#define DENIED 2

/* A fenced write: mayAct was true; the guard holds the fence; mayAct was true again. */
#define ALLOWED 1
#define GUARDED 2
#define CHECKED 3

typedef Node {
  byte me;    /* the row of its incarnation */
  bool ended; /* the incarnation is over; the node may join as the next one */

  byte sent;    /* number of the last beat */
  byte trust;   /* the confirmed beat that the trust stands on */
  byte expired; /* the newest beat whose time of trust is over */
  byte unseen;  /* a beat of an earlier epoch whose time of trust is not over */

  bool replied; /* the reply to the last beat is on its way. What it says: */
  bool accepted;
  bool gone;
  byte replyEpoch;
  byte replyRow;

  byte epoch; /* of the last reply */
  byte term;  /* the token of the announced term */
  byte owed;  /* a token that the row may show as this node's although it has no term */
  bool claiming; /* `owed` may become a term: epoch and trust are unbroken since it was claimed */
  bool passed;   /* and the fence stands at it; the reply is here, or on its way */
  bool refence;  /* the term lived into another epoch, and has to pass the fence there */
  Request plan;  /* DECLARE or CLAIM, by what the last look showed; sent as planned, whatever happens meanwhile */

  byte write;
  byte writeToken;
#if FAILOVERS > 1
  byte generation; /* the highest seen */
  byte tokenSeen;
#endif
};

Node node[NODES];

byte announced; /* the last token that was announced anywhere, in any epoch */
byte claims;
byte resignations;
byte writes;
byte restarts;

/* Of one step; `tidy` clears them, so that they are no part of the state. */
byte answer;
byte each;
byte differs;
byte seenEpoch;
byte seenRow;
Request request;
Store nothing; /* ever */

#define NODE_OF(row) ((row) / INCARNATIONS)
#define IS_LAST(row) ((row) % INCARNATIONS == INCARNATIONS - 1)
#define NAME(row) 97 + (row) / INCARNATIONS, 1 + (row) % INCARNATIONS /* for printf: a1, b2 */
#define WHO(i) NAME(node[i].me)

#define LIVES(row) (store.state[row] == ALIVE || store.state[row] == REVIVED)
#define MINE(i) (node[i].me + 1) /* as the holder */
#define TRUSTED(i) (node[i].trust > node[i].expired)
#define BELIEVES(i) (node[i].term != NONE && TRUSTED(i))

#if NODES == 2
#define ANY(what) (what(0) || what(1))
#define ANY_OF(what, x) (what(0, x) || what(1, x))
#define BELIEVERS (BELIEVES(0) + BELIEVES(1))
#else
#define ANY(what) (what(0) || what(1) || what(2))
#define ANY_OF(what, x) (what(0, x) || what(1, x) || what(2, x))
#define BELIEVERS (BELIEVES(0) + BELIEVES(1) + BELIEVES(2))
#endif

/* ---- the store's statements: their conditions */

#define BEATS_ON(r) ( \
  (store.state[r.from] == ALIVE || (IS(BEAT_REVIVES) && store.state[r.from] != ABSENT)) && \
  (store.beat[r.from] < r.number || IS(BEAT_ANY_NUMBER)))

#define DECLARES(r) ( \
  LIVES(r.target) && \
  (store.beat[r.target] == r.number || IS(DECLARE_ANY_BEAT)) && \
  (epoch == r.epoch || IS(DECLARE_ANY_EPOCH)))

/* Without what may change back: */
#define MAY_CLAIM(r) ( \
  claims < CLAIMS && \
  (store.token == r.number || IS(CLAIM_BLIND) || IS(CLAIM_ANY_TOKEN)) && \
  (LIVES(r.from) || IS(CLAIM_BY_DEAD)) && \
  (epoch == r.epoch || IS(CLAIM_ANY_EPOCH) || IS(CLAIM_AND_FENCE_ANY_EPOCH)))
#define CLAIMS_NOW(r) ( \
  MAY_CLAIM(r) && \
  store.groupEpoch == epoch && \
  (store.holder == NONE || !LIVES(store.holder - 1) || IS(CLAIM_BLIND) || IS(CLAIM_WITHOUT_DEATH)))

#define PASSES(r) ( \
  ((store.token == r.number && store.holder == r.from + 1) || IS(FENCE_ANY_HOLDER)) && \
  (epoch == r.epoch || IS(FENCE_ANY_EPOCH) || IS(CLAIM_AND_FENCE_ANY_EPOCH)) && \
  store.fence <= r.number)

#define TOKEN_AS_OWED(r) (store.token == r.number || IS(RESIGN_ANY_TOKEN))
#define RESIGNS(r) (TOKEN_AS_OWED(r) && store.holder == r.from + 1)

/* While a fenced transaction of an older token is open, the fence answers `busy` and is asked again. */
#define HOLDS_BACK(i, t) (node[i].write >= GUARDED && node[i].writeToken < (t))
#define BUSY(t) (ANY_OF(HOLDS_BACK, t) && !IS(FENCE_DOES_NOT_WAIT))

#define GUARD(i) ( \
  store.fence == node[i].writeToken || IS(UNFENCED_WRITE) || \
  (IS(GUARD_SMALLER_FENCE) && store.fence < node[i].writeToken))

/* Tokens of one generation: more than are claimed. */
#define SPAN (CLAIMS + 2)

/* ---- and what they do. `answer` is what the sender hears */

#define CLEAR(r) r.kind = NONE; r.from = 0; r.target = 0; r.number = 0; r.seen = 0; r.epoch = 0

#define RAISE(token, floor) if :: token < (floor) -> token = (floor) :: else fi

inline beatStatement(r) {
  if
  :: store.groupEpoch != NONE && (store.groupEpoch != epoch || r.seen > store.generation) ->
     RAISE(store.generation, r.seen);
     store.generation++;
     store.groupEpoch = epoch
  :: else
  fi;
  if
  :: BEATS_ON(r) ->
     store.state[r.from] = (store.state[r.from] == DEAD -> REVIVED : store.state[r.from]);
     store.beat[r.from] = r.number;
     answer = 1
  :: else
  fi
}

inline claimStatement(r) {
  WITNESSED(TAKEN_AFTER_FAILOVER, store.rowEpoch != epoch);
  answer = store.token;
  if
  :: !IS(TOKEN_FROM_ROW) -> RAISE(answer, store.fence); RAISE(answer, r.seen); RAISE(answer, store.generation * SPAN)
  :: else
  fi;
  answer++;
  claims++;
  store.token = answer;
  store.holder = r.from + 1;
  store.rowEpoch = epoch
}

inline execute(r) {
  answer = 0;
  if
  :: r.kind == BEAT -> beatStatement(r)
  :: r.kind == DECLARE && DECLARES(r) -> store.state[r.target] = DEAD; store.beat[r.target] = 0; answer = 1
  :: r.kind == CLAIM && CLAIMS_NOW(r) -> claimStatement(r)
  :: r.kind == FENCE && PASSES(r) -> store.fence = r.number; answer = 1
  :: r.kind == RESIGN && RESIGNS(r) ->
     store.holder = NONE;
     store.rowEpoch = (IS(RESIGN_CHANGES_EPOCH) -> epoch : store.rowEpoch);
     answer = 1
  :: else
  fi;
  if
  :: r.kind == CLAIM && answer -> printf("        token %d\n", answer)
  :: !answer -> printf("        in vain\n")
  :: else
  fi;
  checkBelief()
}

/*
 * A request whose condition can never hold again is as good as lost. To forget it makes those states one that can do the same. What is not
 * bound to an epoch may become possible again with an older copy.
 */
#define SETTLED (epoch > FAILOVERS && store.groupEpoch == epoch)
#define HOPELESS(r) ( \
  (r.kind == BEAT && SETTLED && !BEATS_ON(r)) || \
  (r.kind == DECLARE && (SETTLED || !IS(DECLARE_ANY_EPOCH)) && !DECLARES(r) && !IS(CLAIM_WITHOUT_DEATH)) || \
  (r.kind == CLAIM && (SETTLED || !(IS(CLAIM_ANY_EPOCH) || IS(CLAIM_AND_FENCE_ANY_EPOCH))) && !MAY_CLAIM(r)) || \
  (r.kind == FENCE && (SETTLED || !(IS(FENCE_ANY_EPOCH) || IS(CLAIM_AND_FENCE_ANY_EPOCH))) && !PASSES(r)) || \
  (r.kind == RESIGN && SETTLED && !TOKEN_AS_OWED(r)))

/* Ends each step. */
inline tidy() {
#ifndef KEEP_HOPELESS
  if :: late.kind != NONE && HOPELESS(late) -> CLEAR(late) :: else fi;
  each = 0;
  do
  :: each < NODES -> if :: node[each].plan.kind != NONE && HOPELESS(node[each].plan) -> CLEAR(node[each].plan) :: else fi; each++
  :: else -> break
  od;
#endif
  each = 0; answer = 0; differs = 0; seenEpoch = 0; seenRow = 0; CLEAR(request)
}

/* ---- checks */

inline checkBelief() {
  two_believers = ASKED(TWO_BELIEVERS) && BELIEVERS > 1;
  assert(!two_believers);
  each = 0;
  do
  :: each < NODES ->
     dead_believes = ASKED(DEAD_BELIEVES) && BELIEVES(each) && store.state[node[each].me] != ALIVE && store.state[node[each].me] != ABSENT;
     assert(!dead_believes);
     each++
  :: else -> break
  od;
  each = 0
}

inline checkAnnouncement(i) {
  token_not_greater = ASKED(TOKEN_NOT_GREATER) && node[i].owed <= announced;
  assert(!token_not_greater)
}

inline checkCommit(i) {
  write_out_of_order = ASKED(WRITE_OUT_OF_ORDER) && node[i].writeToken < store.written;
  assert(!write_out_of_order);
  write_without_fence = ASKED(WRITE_WITHOUT_FENCE) && node[i].writeToken != store.fence;
  assert(!write_without_fence);
  write_after_successor = ASKED(WRITE_AFTER_SUCCESSOR) && node[i].write == CHECKED && node[i].writeToken < announced;
  assert(!write_after_successor)
}

/* ---- what a node makes of a reply */

inline breakClaim(i) {
  node[i].claiming = false;
  node[i].passed = false
}

inline endTerm(i) {
  node[i].owed = node[i].term;
  node[i].term = NONE;
  node[i].refence = false
}

inline noticeLapse(i) {
  if
  :: node[i].trust != NONE && !TRUSTED(i) ->
     node[i].trust = NONE;
     CLEAR(node[i].plan);
     if :: !IS(CLAIM_OVER_LAPSE) -> breakClaim(i) :: else fi;
     if :: node[i].term != NONE -> endTerm(i) :: else fi
  :: else
  fi
}

/* What a row that is read now shows of the term here, or of the claim that may become one. */
#define TOKEN_HERE(i) (node[i].term != NONE -> node[i].term : (node[i].claiming -> node[i].owed : NONE))
#define READING(i) (TOKEN_HERE(i) == NONE -> OLDER : (store.token == TOKEN_HERE(i) && store.holder == MINE(i) -> SHOWN : DENIED))

#define STANDS (seenRow == SHOWN || (seenRow == OLDER && !differs) || IS(KEEP_TERM_OVER_FAILOVER))

/* Takes in `seenEpoch` and `seenRow`. A lapse counts before the reply. */
inline absorb(i) {
  if :: !IS(LATE_REPLY_REVIVES_TERM) -> noticeLapse(i) :: else fi;
  differs = (seenEpoch != node[i].epoch);
  node[i].epoch = seenEpoch;
  if :: differs -> breakClaim(i); CLEAR(node[i].plan) :: else fi;
  if
  :: node[i].term != NONE && !STANDS -> endTerm(i)
  :: node[i].term != NONE && STANDS && differs -> node[i].refence = true
  :: else
  fi
}

/* Of a beat that nobody waits for no trust can come: its time counts as over. */
inline settleTrust(i) {
  if :: !TRUSTED(i) && !node[i].replied -> node[i].expired = node[i].sent :: else fi;
  if :: node[i].expired >= node[i].unseen -> node[i].unseen = NONE :: else fi
}

inline forgetReply(i) {
  node[i].replied = false;
  node[i].accepted = false;
  node[i].gone = false;
  node[i].replyEpoch = 0;
  node[i].replyRow = OLDER;
  settleTrust(i)
}

inline endIncarnation(i) {
  node[i].ended = true;
  node[i].sent = 0; node[i].trust = NONE; node[i].expired = 0; node[i].unseen = NONE;
  node[i].epoch = 0;
  node[i].term = NONE; node[i].owed = NONE; node[i].refence = false;
  breakClaim(i);
  CLEAR(node[i].plan);
  forgetReply(i)
}

inline announce(i) {
  checkAnnouncement(i);
  WITNESSED(TAKEN_FROM_THE_DEAD, i != 0 && store.state[0] == DEAD);
  WITNESSED(HANDED_OVER, i != 0 && node[0].me == 0 && TRUSTED(0));
  WITNESSED(LEADS_AGAIN, node[i].me % INCARNATIONS != 0);
  announced = node[i].owed;
  node[i].term = node[i].owed;
  node[i].owed = NONE;
  node[i].refence = !node[i].passed;
  breakClaim(i);
  checkBelief()
}

#if FAILOVERS > 1
#define GENERATION_SEEN(i) node[i].generation
#define TOKEN_SEEN(i) node[i].tokenSeen
#define LEARN(i) RAISE(node[i].generation, store.generation); RAISE(node[i].tokenSeen, store.token)
#else
/* Over a single failover the store knows as much as the nodes, but for the generation, which rises in any case. */
#define GENERATION_SEEN(i) 0
#define TOKEN_SEEN(i) 0
#define LEARN(i) skip
#endif

/* A request as node i makes it now. */
#define COMPOSE(r, i, what, whose, which) \
  r.kind = what; r.from = node[i].me; r.target = whose; r.number = which; \
  r.seen = (r.kind == BEAT -> GENERATION_SEEN(i) : (r.kind == CLAIM -> TOKEN_SEEN(i) : 0)); \
  r.epoch = (r.kind == BEAT || r.kind == RESIGN -> 0 : node[i].epoch)

/* ---- what a node waits for */

/*
 * The observer's wait since the reply that first showed this beat in the observer's epoch. It is over only after the time of trust of this
 * beat is; and, if it was counted in the server's present epoch, after that of whatever was confirmed before it. This is all that is assumed
 * of clocks. An incarnation whose process ended has no trust to wait for.
 */
#define RUNS(row) (node[NODE_OF(row)].me == (row) && !node[NODE_OF(row)].ended)
#define WAITED(i, row, beat_) (!RUNS(row) || \
  (node[NODE_OF(row)].expired >= (beat_) && (node[NODE_OF(row)].unseen == NONE || node[i].epoch != epoch)))

/* The full wait after a change of epoch. */
#define UNSEEN(i) (node[i].unseen != NONE)
#define WAITED_FOR_ALL (!ANY(UNSEEN) || IS(NO_FULL_WAIT))

/* What is free or a dead holder's may be taken at once in the epoch in which it was claimed. */
#define KNOWN_ROW (store.rowEpoch == epoch && (store.holder == NONE || store.state[store.holder - 1] != ABSENT))

/* ---- a node */

#define MAY_BEAT(i) (!node[i].ended && !node[i].replied && node[i].sent < BEATS)
#define CONTENDS(i) (TRUSTED(i) && node[i].term == NONE && node[i].owed == NONE)
#define MAY_DECLARE(i) (TRUSTED(i) && node[i].plan.kind == DECLARE && WAITED(i, node[i].plan.target, node[i].plan.number))
#define MAY_TAKE(i) (TRUSTED(i) && node[i].plan.kind == CLAIM)
#define MAY_PASS(i) (TRUSTED(i) && node[i].claiming && !node[i].passed)
#define MUST_RESIGN(i) (TRUSTED(i) && node[i].owed != NONE)

proctype process(byte i) {
  do
  /* A beat. */
  :: d_step { MAY_BEAT(i) ->
       node[i].expired = (TRUSTED(i) -> node[i].expired : node[i].sent);
       node[i].sent++;
       printf("%c%d    beats: %d\n", WHO(i), node[i].sent);
       COMPOSE(request, i, BEAT, 0, node[i].sent);
       execute(request);
       node[i].replied = true;
       node[i].accepted = answer;
       node[i].gone = !LIVES(node[i].me);
       node[i].replyEpoch = epoch;
       node[i].replyRow = READING(i);
       LEARN(i);
       tidy()
     }
  /* Its reply. One of an earlier epoch than that of another reply was on a connection that is no more. */
  :: d_step { node[i].replied && node[i].replyEpoch >= node[i].epoch ->
       printf("%c%d    hears of its beat\n", WHO(i));
       seenEpoch = node[i].replyEpoch;
       seenRow = node[i].replyRow;
       absorb(i);
       if
       :: node[i].gone -> printf("        it is dead\n"); endIncarnation(i)
       :: !node[i].gone && node[i].accepted && node[i].sent > node[i].expired ->
          node[i].trust = node[i].sent + IS(TRUST_FROM_REPLY);
          node[i].expired = node[i].trust - 1;
          forgetReply(i);
          checkBelief()
       :: else -> forgetReply(i)
       fi;
       tidy()
     }
  :: d_step { node[i].replied -> printf("%c%d    does not hear of its beat\n", WHO(i)); forgetReply(i) }

  /* Time passes: that of the trust, and then that of a beat whose reply is still on its way. */
  :: d_step { TRUSTED(i) ->
       printf("%c%d    its time of trust is over\n", WHO(i));
       node[i].trust = node[i].trust - IS(TRUST_FROM_REPLY);
       node[i].expired = (node[i].replied -> node[i].sent - 1 : node[i].sent);
       if :: !IS(LATE_REPLY_REVIVES_TERM) -> noticeLapse(i) :: else fi;
       settleTrust(i)
     }
  :: d_step { !TRUSTED(i) && node[i].replied && node[i].expired < node[i].sent ->
       printf("%c%d    its beat is too old for trust\n", WHO(i));
       node[i].expired = node[i].sent;
       settleTrust(i)
     }

  /* A look: it is taken in, and decides what is done next. */
  :: d_step { !node[i].ended ->
       seenEpoch = epoch;
       seenRow = READING(i);
       absorb(i);
       LEARN(i);
       CLEAR(node[i].plan);
       if
       :: CONTENDS(i) && store.holder == MINE(i) -> node[i].owed = store.token; node[i].claiming = IS(ADOPT_UNANSWERED_CLAIM)
       :: CONTENDS(i) && store.holder != MINE(i) && store.holder != NONE && LIVES(store.holder - 1) ->
          COMPOSE(node[i].plan, i, DECLARE, store.holder - 1, store.beat[store.holder - 1])
       :: CONTENDS(i) && (store.holder == NONE || !LIVES(store.holder - 1)) && (KNOWN_ROW || WAITED_FOR_ALL) ->
          COMPOSE(node[i].plan, i, CLAIM, 0, store.token)
       :: else
       fi;
       if
       :: store.holder == NONE -> printf("%c%d    looks: free, the last token was %d\n", WHO(i), store.token)
       :: else -> printf("%c%d    looks: %c%d holds %d\n", WHO(i), NAME(store.holder - 1), store.token)
       fi;
       tidy()
     }

  /* Taking over: dead, claim, fence; and then the term is announced. */
  :: d_step { MAY_DECLARE(i) && !IS(CLAIM_WITHOUT_DEATH) ->
       printf("%c%d    declares %c%d dead that was seen with beat %d\n", WHO(i), NAME(node[i].plan.target), node[i].plan.number);
       execute(node[i].plan);
       CLEAR(node[i].plan);
       tidy()
     }
  :: d_step { MAY_DECLARE(i) && IS(CLAIM_WITHOUT_DEATH) -> COMPOSE(node[i].plan, i, CLAIM, 0, store.token) }
  :: d_step { MAY_TAKE(i) ->
       printf("%c%d    claims, expecting token %d\n", WHO(i), node[i].plan.number);
       execute(node[i].plan);
       CLEAR(node[i].plan);
       if :: answer -> node[i].owed = answer; node[i].claiming = true; node[i].replyRow = OLDER :: else fi;
       tidy()
     }
  :: d_step { MAY_TAKE(i) ->
       printf("%c%d    claims, expecting token %d, and is not answered\n", WHO(i), node[i].plan.number);
       execute(node[i].plan);
       CLEAR(node[i].plan);
       tidy()
     }
  :: d_step { MAY_PASS(i) && !BUSY(node[i].owed) ->
       printf("%c%d    moves the fence to %d\n", WHO(i), node[i].owed);
       COMPOSE(request, i, FENCE, 0, node[i].owed);
       execute(request);
       if :: answer -> node[i].passed = true :: else -> breakClaim(i) fi;
       tidy()
     }
  :: d_step { MAY_PASS(i) && !BUSY(node[i].owed) ->
       printf("%c%d    moves the fence to %d, and is not answered\n", WHO(i), node[i].owed);
       COMPOSE(request, i, FENCE, 0, node[i].owed);
       execute(request);
       breakClaim(i);
       tidy()
     }
  :: d_step { TRUSTED(i) && node[i].claiming && (node[i].passed || IS(ANNOUNCE_BEFORE_FENCE)) ->
       printf("%c%d    announces term %d\n", WHO(i), node[i].owed);
       announce(i)
     }
  /* A term that lived into another epoch. */
  :: d_step { BELIEVES(i) && node[i].refence && !BUSY(node[i].term) ->
       printf("%c%d    moves the fence to %d again\n", WHO(i), node[i].term);
       COMPOSE(request, i, FENCE, 0, node[i].term);
       execute(request);
       WITNESSED(FENCE_PASSED_AGAIN, answer);
       if :: answer -> node[i].refence = false :: else -> endTerm(i) fi;
       tidy()
     }

  /* A term is given up; what is owed is given back until the store has answered. */
  :: d_step { node[i].term != NONE && resignations < RESIGNATIONS ->
       printf("%c%d    gives its term %d up\n", WHO(i), node[i].term);
       resignations++;
       endTerm(i)
     }
  :: d_step { MUST_RESIGN(i) ->
       printf("%c%d    resigns %d\n", WHO(i), node[i].owed);
       WITNESSED(CLAIM_GIVEN_BACK, node[i].owed > announced);
       COMPOSE(request, i, RESIGN, 0, node[i].owed);
       execute(request);
       node[i].owed = NONE;
       breakClaim(i);
       tidy()
     }
  :: d_step { MUST_RESIGN(i) ->
       printf("%c%d    resigns %d, and is not answered\n", WHO(i), node[i].owed);
       COMPOSE(request, i, RESIGN, 0, node[i].owed);
       execute(request);
       breakClaim(i);
       tidy()
     }

#if LATE
  /* The same, given up before it takes effect. What was late before is lost. */
  :: d_step { MAY_BEAT(i) ->
       node[i].sent++;
       printf("%c%d    gives up waiting for beat %d, which is late\n", WHO(i), node[i].sent);
       COMPOSE(late, i, BEAT, 0, node[i].sent);
       settleTrust(i);
       tidy()
     }
  :: d_step { MAY_DECLARE(i) && !IS(CLAIM_WITHOUT_DEATH) ->
       printf("%c%d    gives up declaring %c%d dead, with beat %d, which is late\n", WHO(i), NAME(node[i].plan.target), node[i].plan.number);
       COMPOSE(late, i, DECLARE, node[i].plan.target, node[i].plan.number);
       CLEAR(node[i].plan);
       tidy()
     }
  :: d_step { MAY_TAKE(i) ->
       printf("%c%d    gives up a claim, expecting token %d, which is late\n", WHO(i), node[i].plan.number);
       COMPOSE(late, i, CLAIM, 0, node[i].plan.number);
       CLEAR(node[i].plan);
       tidy()
     }
  :: d_step { MAY_PASS(i) ->
       printf("%c%d    gives up moving the fence to %d, which is late\n", WHO(i), node[i].owed);
       COMPOSE(late, i, FENCE, 0, node[i].owed);
       breakClaim(i);
       tidy()
     }
  :: d_step { MUST_RESIGN(i) ->
       printf("%c%d    gives up waiting for its resignation of %d, which is late\n", WHO(i), node[i].owed);
       COMPOSE(late, i, RESIGN, 0, node[i].owed);
       breakClaim(i);
       tidy()
     }
#endif

#if WRITES > 0
  /* A fenced write. With a transaction of the user's own there is a guard, and no second look before the commit. */
  :: d_step { BELIEVES(i) && node[i].write == NONE && writes < WRITES ->
       printf("%c%d    may act, and begins a write\n", WHO(i));
       writes++;
       node[i].write = ALLOWED;
       node[i].writeToken = node[i].term
     }
  :: d_step { node[i].write == ALLOWED && GUARD(i) -> printf("%c     the guard of %d holds the fence\n", 97 + i, node[i].writeToken); node[i].write = GUARDED }
  :: d_step { node[i].write == ALLOWED && !GUARD(i) -> printf("%c     the guard of %d refuses\n", 97 + i, node[i].writeToken); WITNESSED(GUARD_REFUSES, true); node[i].write = NONE; node[i].writeToken = NONE }
  :: d_step { node[i].write == GUARDED && BELIEVES(i) && node[i].term == node[i].writeToken -> printf("%c%d    may still act\n", WHO(i)); node[i].write = CHECKED }
  :: d_step { node[i].write >= GUARDED ->
       printf("%c     the write of %d is committed\n", 97 + i, node[i].writeToken);
       checkCommit(i);
       WITNESSED(WRITE_AFTER_WRITE, store.written != NONE && node[i].writeToken > store.written);
       store.written = node[i].writeToken;
       node[i].write = NONE;
       node[i].writeToken = NONE
     }
#endif

#if INCARNATIONS > 1
  /* The process stops, or ends without a word. The node joins as the next incarnation, also where it found itself dead. */
  :: d_step { !node[i].ended && !IS_LAST(node[i].me) && restarts < RESTARTS ->
       printf("%c%d    stops and leaves\n", WHO(i));
       restarts++;
       if :: LIVES(node[i].me) -> store.state[node[i].me] = DEAD; store.beat[node[i].me] = 0 :: else fi;
       endIncarnation(i);
       tidy()
     }
  :: d_step { !node[i].ended && !IS_LAST(node[i].me) && restarts < RESTARTS ->
       printf("%c%d    is killed\n", WHO(i));
       restarts++;
       endIncarnation(i)
     }
  :: d_step { node[i].ended && !IS_LAST(node[i].me) ->
       node[i].me++;
       node[i].ended = false;
       printf("%c%d    joins\n", WHO(i));
       store.state[node[i].me] = ALIVE;
       if :: store.groupEpoch == NONE -> store.groupEpoch = epoch; store.rowEpoch = epoch :: else fi /* the group and its election are made anew */
     }
#endif
  od
}

/* ---- the store's own life */

#define PUT(into, from) \
  each = 0; \
  do \
  :: each < ROWS -> into.state[each] = from.state[each]; into.beat[each] = from.beat[each]; each++ \
  :: else -> break \
  od; \
  into.token = from.token; into.holder = from.holder; into.rowEpoch = from.rowEpoch; into.fence = from.fence; \
  into.generation = from.generation; into.groupEpoch = from.groupEpoch; into.written = from.written

proctype server() {
  do
#if LATE
  :: d_step { late.kind != NONE && !(late.kind == FENCE && BUSY(late.number)) ->
       if
       :: late.kind == BEAT -> printf("        late: the beat %d of %c%d\n", late.number, NAME(late.from))
       :: late.kind == DECLARE -> printf("        late: the death of %c%d\n", NAME(late.target))
       :: late.kind == CLAIM -> printf("        late: the claim of %c%d\n", NAME(late.from))
       :: late.kind == FENCE -> printf("        late: the fence at %d\n", late.number)
       :: late.kind == RESIGN -> printf("        late: the resignation of %d\n", late.number)
       fi;
       execute(late);
       WITNESSED(LATE_CLAIM_COUNTS, late.kind == CLAIM && answer);
       WITNESSED(LATE_BEAT_COUNTS, late.kind == BEAT && answer);
       CLEAR(late);
       tidy()
     }
#endif
  :: d_step { epoch <= FAILOVERS && !copied && (epoch == 1 || store.groupEpoch == epoch || IS(EPOCH_LOST)) -> printf("        what follows will be lost\n"); PUT(copy, store); copied = true; tidy() }
  :: d_step { copied ->
       printf("        failover: the store is an older copy, in another epoch\n");
       each = 0;
       do
       :: each < NODES ->
          node[each].unseen = (TRUSTED(each) -> node[each].trust : node[each].unseen);
          node[each].unseen = (node[each].replied && node[each].accepted && node[each].sent > node[each].expired -> node[each].sent : node[each].unseen);
          if :: node[each].write >= GUARDED -> node[each].write = NONE; node[each].writeToken = NONE :: else fi; /* its connection ends, uncommitted */
          each++
       :: else -> break
       od;
       PUT(store, copy);
       PUT(copy, nothing);
       copied = false;
       epoch++;
       tidy()
     }
  :: d_step { false -> skip }
  od
}

/* All have joined, and the first node holds the first term. */
init {
  d_step {
    each = 0;
    do
    :: each < NODES -> node[each].me = each * INCARNATIONS; node[each].epoch = 1; store.state[node[each].me] = ALIVE; each++
    :: else -> break
    od;
    store.rowEpoch = 1; store.groupEpoch = 1;
    store.token = 1; store.holder = MINE(0); store.fence = 1; announced = 1;
    store.beat[node[0].me] = 1; node[0].sent = 1; node[0].trust = 1; node[0].term = 1;
    copied = IS(GROUP_LOST); /* by a replica that has not seen the group */
    tidy()
  }
  atomic {
    run process(0);
    run process(1);
#if NODES > 2
    run process(2);
#endif
    run server()
  }
}
