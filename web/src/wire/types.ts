// Generated from src/liqfield/server/wire.py by `python -m liqfield.server.typescript`.

export const WIRE_VERSION = 1;

/**
 * Topics: "market:BTC", "candle:BTC", "map:BTC:all" (or a venue), "ladder:BTC", "clusters:BTC",
 * "tape:BTC", "health".
 *
 * The newest state comes at once, changes after it. ladder_step: USD per row, 0 = automatic;
 * another step is rounded to the nearest of 1, 2, 5 times a power of ten. Subscribing again
 * replaces step and rows.
 */
export interface Subscribe {
  readonly t: "subscribe";
  readonly topics: readonly string[];
  readonly ladderStep?: number;
  readonly ladderRows?: number;
}

/**
 * Base of all messages: tagged by class name, camelCase on the wire.
 */
export interface Unsubscribe {
  readonly t: "unsubscribe";
  readonly topics: readonly string[];
}

/**
 * Base of all messages: tagged by class name, camelCase on the wire.
 */
export interface Ping {
  readonly t: "ping";
  readonly nonce: number;
}

/**
 * Base of all messages: tagged by class name, camelCase on the wire.
 */
export interface Pong {
  readonly t: "pong";
  readonly nonce: number;
  readonly serverMs: number;
}

/**
 * A base class for defining efficient serializable objects.
 *
 * Fields are defined using type annotations. Fields may optionally have
 * default values, which result in keyword parameters to the constructor.
 *
 * Structs automatically define ``__init__``, ``__eq__``, ``__repr__``, and
 * ``__copy__`` methods. Additional methods can be defined on the class as
 * needed. Note that ``__init__``/``__new__`` cannot be overridden, but other
 * methods can. A tuple of the field names is available on the class via the
 * ``__struct_fields__`` attribute if needed.
 *
 * Additional class options can be enabled by passing keywords to the class
 * definition (see example below). These configuration options may also be
 * inspected at runtime through the ``__struct_config__`` attribute.
 *
 * Configuration
 * -------------
 * frozen: bool, default False
 *    Whether instances of this type are pseudo-immutable. If true, attribute
 *    assignment is disabled and a corresponding ``__hash__`` is defined.
 * order: bool, default False
 *    If True, ``__lt__``, `__le__``, ``__gt__``, and ``__ge__`` methods
 *    will be generated for this type.
 * eq: bool, default True
 *    If True (the default), an ``__eq__`` method will be generated for this
 *    type. Set to False to compare based on instance identity alone.
 * kw_only: bool, default False
 *    If True, all fields will be treated as keyword-only arguments in the
 *    generated ``__init__`` method. Default is False.
 * omit_defaults: bool, default False
 *    Whether fields should be omitted from encoding if the corresponding value
 *    is the default for that field. Enabling this may reduce message size, and
 *    often also improve encoding & decoding performance.
 * forbid_unknown_fields: bool, default False
 *    If True, an error is raised if an unknown field is encountered while
 *    decoding structs of this type. If False (the default), no error is raised
 *    and the unknown field is skipped.
 * tag: str, int, bool, callable, or None, default None
 *    Used along with ``tag_field`` for configuring tagged union support. If
 *    either are non-None, then the struct is considered "tagged". In this case,
 *    an extra field (the ``tag_field``) and value (the ``tag``) are added to the
 *    encoded message, which can be used to differentiate message types during
 *    decoding.
 *
 *    Set ``tag=True`` to enable the default tagged configuration (``tag_field``
 *    is ``"type"``, ``tag`` is the class name). Alternatively, you can provide
 *    a string (or less commonly int) value directly to be used as the tag
 *    (e.g. ``tag="my-tag-value"``).``tag`` can also be passed a callable that
 *    takes the class qualname and returns a valid tag value (e.g.
 *    ``tag=str.lower``). See the docs for more information.
 * tag_field: str or None, default None
 *    The field name to use for tagged union support. If ``tag`` is non-None,
 *    then this defaults to ``"type"``. See the ``tag`` docs above for more
 *    information.
 * rename: str, mapping, callable, or None, default None
 *    Controls renaming the field names used when encoding/decoding the struct.
 *    May be one of ``"lower"``, ``"upper"``, ``"camel"``, ``"pascal"``, or
 *    ``"kebab"`` to rename in lowercase, UPPERCASE, camelCase, PascalCase,
 *    or kebab-case respectively. May also be a mapping from field names to the
 *    renamed names (missing fields are not renamed). Alternatively, may be a
 *    callable that takes the field name and returns a new name or ``None`` to
 *    not rename that field. Default is ``None`` for no field renaming.
 * repr_omit_defaults: bool, default False
 *    Whether fields should be omitted from the generated repr if the
 *    corresponding value is the default for that field.
 * array_like: bool, default False
 *    If True, this struct type will be treated as an array-like type during
 *    encoding/decoding, rather than a dict-like type (the default). This may
 *    improve performance, at the cost of a more inscrutable message encoding.
 * gc: bool, default True
 *    Whether garbage collection is enabled for this type. Disabling this *may*
 *    help reduce GC pressure, but will prevent reference cycles composed of only
 *    ``gc=False`` from being collected. It is the user's responsibility to ensure
 *    that reference cycles don't occur when setting ``gc=False``.
 * weakref: bool, default False
 *    Whether instances of this type support weak references. Defaults to False.
 * dict: bool, default False
 *    Whether instances of this type will include a ``__dict__``. Setting this to
 *    True will allow adding additional undeclared attributes to a struct instance,
 *    which may be useful for holding private runtime state. Defaults to False.
 * cache_hash: bool, default False
 *    If enabled, the hash of a frozen struct instance will be computed at most
 *    once, and then cached on the instance for further reuse. For expensive
 *    hash values this can improve performance at the cost of a small amount of
 *    memory usage.
 *
 * Examples
 * --------
 * Here we define a new `Struct` type for describing a dog. It has three fields;
 * two required and one optional.
 *
 * >>> class Dog(Struct):
 * ...     name: str
 * ...     breed: str
 * ...     is_good_boy: bool = True
 * ...
 * >>> Dog('snickers', breed='corgi')
 * Dog(name='snickers', breed='corgi', is_good_boy=True)
 *
 * Additional struct options can be set as part of the class definition. Here
 * we define a new `Struct` type for a frozen `Point` object.
 *
 * >>> class Point(Struct, frozen=True):
 * ...     x: float
 * ...     y: float
 * ...
 * >>> {Point(1.5, 2.0): 1}  # frozen structs are hashable
 * {Point(x=1.5, y=2.0): 1}
 */
export interface MarketInfo {
  readonly base: string;
  readonly venues: readonly string[];
  readonly priceDecimals: number;
}

/**
 * First message of a connection. source: live, demo, replay.
 */
export interface Hello {
  readonly t: "hello";
  readonly wireVersion: number;
  readonly source: string;
  readonly serverMs: number;
  readonly markets: readonly MarketInfo[];
  readonly binWidth: number;
  readonly columnS: readonly number[];
  readonly tileColumns: number;
  readonly tileBins: number;
}

/**
 * Top bar. state: live, stale, gap, down; funding_8h is OI-weighted, a fraction per 8 h.
 */
export interface Market {
  readonly t: "market";
  readonly base: string;
  readonly atMs: number;
  readonly price: number;
  readonly mark: number;
  readonly change24H: number | null;
  readonly openInterestUsd: number;
  readonly funding8H: number | null;
  readonly state: string;
  readonly detail: string;
}

/**
 * The running candle of `interval_s`, start-stamped.
 */
export interface CandleRow {
  readonly t: "candle";
  readonly base: string;
  readonly intervalS: number;
  readonly startMs: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

/**
 * A base class for defining efficient serializable objects.
 *
 * Fields are defined using type annotations. Fields may optionally have
 * default values, which result in keyword parameters to the constructor.
 *
 * Structs automatically define ``__init__``, ``__eq__``, ``__repr__``, and
 * ``__copy__`` methods. Additional methods can be defined on the class as
 * needed. Note that ``__init__``/``__new__`` cannot be overridden, but other
 * methods can. A tuple of the field names is available on the class via the
 * ``__struct_fields__`` attribute if needed.
 *
 * Additional class options can be enabled by passing keywords to the class
 * definition (see example below). These configuration options may also be
 * inspected at runtime through the ``__struct_config__`` attribute.
 *
 * Configuration
 * -------------
 * frozen: bool, default False
 *    Whether instances of this type are pseudo-immutable. If true, attribute
 *    assignment is disabled and a corresponding ``__hash__`` is defined.
 * order: bool, default False
 *    If True, ``__lt__``, `__le__``, ``__gt__``, and ``__ge__`` methods
 *    will be generated for this type.
 * eq: bool, default True
 *    If True (the default), an ``__eq__`` method will be generated for this
 *    type. Set to False to compare based on instance identity alone.
 * kw_only: bool, default False
 *    If True, all fields will be treated as keyword-only arguments in the
 *    generated ``__init__`` method. Default is False.
 * omit_defaults: bool, default False
 *    Whether fields should be omitted from encoding if the corresponding value
 *    is the default for that field. Enabling this may reduce message size, and
 *    often also improve encoding & decoding performance.
 * forbid_unknown_fields: bool, default False
 *    If True, an error is raised if an unknown field is encountered while
 *    decoding structs of this type. If False (the default), no error is raised
 *    and the unknown field is skipped.
 * tag: str, int, bool, callable, or None, default None
 *    Used along with ``tag_field`` for configuring tagged union support. If
 *    either are non-None, then the struct is considered "tagged". In this case,
 *    an extra field (the ``tag_field``) and value (the ``tag``) are added to the
 *    encoded message, which can be used to differentiate message types during
 *    decoding.
 *
 *    Set ``tag=True`` to enable the default tagged configuration (``tag_field``
 *    is ``"type"``, ``tag`` is the class name). Alternatively, you can provide
 *    a string (or less commonly int) value directly to be used as the tag
 *    (e.g. ``tag="my-tag-value"``).``tag`` can also be passed a callable that
 *    takes the class qualname and returns a valid tag value (e.g.
 *    ``tag=str.lower``). See the docs for more information.
 * tag_field: str or None, default None
 *    The field name to use for tagged union support. If ``tag`` is non-None,
 *    then this defaults to ``"type"``. See the ``tag`` docs above for more
 *    information.
 * rename: str, mapping, callable, or None, default None
 *    Controls renaming the field names used when encoding/decoding the struct.
 *    May be one of ``"lower"``, ``"upper"``, ``"camel"``, ``"pascal"``, or
 *    ``"kebab"`` to rename in lowercase, UPPERCASE, camelCase, PascalCase,
 *    or kebab-case respectively. May also be a mapping from field names to the
 *    renamed names (missing fields are not renamed). Alternatively, may be a
 *    callable that takes the field name and returns a new name or ``None`` to
 *    not rename that field. Default is ``None`` for no field renaming.
 * repr_omit_defaults: bool, default False
 *    Whether fields should be omitted from the generated repr if the
 *    corresponding value is the default for that field.
 * array_like: bool, default False
 *    If True, this struct type will be treated as an array-like type during
 *    encoding/decoding, rather than a dict-like type (the default). This may
 *    improve performance, at the cost of a more inscrutable message encoding.
 * gc: bool, default True
 *    Whether garbage collection is enabled for this type. Disabling this *may*
 *    help reduce GC pressure, but will prevent reference cycles composed of only
 *    ``gc=False`` from being collected. It is the user's responsibility to ensure
 *    that reference cycles don't occur when setting ``gc=False``.
 * weakref: bool, default False
 *    Whether instances of this type support weak references. Defaults to False.
 * dict: bool, default False
 *    Whether instances of this type will include a ``__dict__``. Setting this to
 *    True will allow adding additional undeclared attributes to a struct instance,
 *    which may be useful for holding private runtime state. Defaults to False.
 * cache_hash: bool, default False
 *    If enabled, the hash of a frozen struct instance will be computed at most
 *    once, and then cached on the instance for further reuse. For expensive
 *    hash values this can improve performance at the cost of a small amount of
 *    memory usage.
 *
 * Examples
 * --------
 * Here we define a new `Struct` type for describing a dog. It has three fields;
 * two required and one optional.
 *
 * >>> class Dog(Struct):
 * ...     name: str
 * ...     breed: str
 * ...     is_good_boy: bool = True
 * ...
 * >>> Dog('snickers', breed='corgi')
 * Dog(name='snickers', breed='corgi', is_good_boy=True)
 *
 * Additional struct options can be set as part of the class definition. Here
 * we define a new `Struct` type for a frozen `Point` object.
 *
 * >>> class Point(Struct, frozen=True):
 * ...     x: float
 * ...     y: float
 * ...
 * >>> {Point(1.5, 2.0): 1}  # frozen structs are hashable
 * {Point(x=1.5, y=2.0): 1}
 */
export interface ClusterRow {
  readonly side: string;
  readonly low: number;
  readonly high: number;
  readonly peak: number;
  readonly usd: number;
  readonly usdP10: number;
  readonly usdP90: number;
  readonly distance: number;
  readonly bandUsd: readonly [number, number, number];
  readonly venueUsd: Readonly<Record<string, number>>;
  readonly ageS: number;
  readonly growthPerH: number;
  readonly stacked: boolean;
  readonly confidence: number;
  readonly reasons: readonly string[];
}

/**
 * Base of all messages: tagged by class name, camelCase on the wire.
 */
export interface Clusters {
  readonly t: "clusters";
  readonly base: string;
  readonly atMs: number;
  readonly mark: number;
  readonly clusters: readonly ClusterRow[];
}

/**
 * Rows ascending from first_price in steps of `step`; long_usd / short_usd: liquidation mass of
 * the row (USD); delta: signed taker volume of the last minute (base coins); traded: total.
 */
export interface Ladder {
  readonly t: "ladder";
  readonly base: string;
  readonly atMs: number;
  readonly step: number;
  readonly firstPrice: number;
  readonly bid: readonly number[];
  readonly ask: readonly number[];
  readonly longUsd: readonly number[];
  readonly shortUsd: readonly number[];
  readonly delta: readonly number[];
  readonly traded: readonly number[];
  readonly bestBid: number;
  readonly bestAsk: number;
  readonly venues: readonly string[];
  readonly absent: Readonly<Record<string, string>>;
}

/**
 * A base class for defining efficient serializable objects.
 *
 * Fields are defined using type annotations. Fields may optionally have
 * default values, which result in keyword parameters to the constructor.
 *
 * Structs automatically define ``__init__``, ``__eq__``, ``__repr__``, and
 * ``__copy__`` methods. Additional methods can be defined on the class as
 * needed. Note that ``__init__``/``__new__`` cannot be overridden, but other
 * methods can. A tuple of the field names is available on the class via the
 * ``__struct_fields__`` attribute if needed.
 *
 * Additional class options can be enabled by passing keywords to the class
 * definition (see example below). These configuration options may also be
 * inspected at runtime through the ``__struct_config__`` attribute.
 *
 * Configuration
 * -------------
 * frozen: bool, default False
 *    Whether instances of this type are pseudo-immutable. If true, attribute
 *    assignment is disabled and a corresponding ``__hash__`` is defined.
 * order: bool, default False
 *    If True, ``__lt__``, `__le__``, ``__gt__``, and ``__ge__`` methods
 *    will be generated for this type.
 * eq: bool, default True
 *    If True (the default), an ``__eq__`` method will be generated for this
 *    type. Set to False to compare based on instance identity alone.
 * kw_only: bool, default False
 *    If True, all fields will be treated as keyword-only arguments in the
 *    generated ``__init__`` method. Default is False.
 * omit_defaults: bool, default False
 *    Whether fields should be omitted from encoding if the corresponding value
 *    is the default for that field. Enabling this may reduce message size, and
 *    often also improve encoding & decoding performance.
 * forbid_unknown_fields: bool, default False
 *    If True, an error is raised if an unknown field is encountered while
 *    decoding structs of this type. If False (the default), no error is raised
 *    and the unknown field is skipped.
 * tag: str, int, bool, callable, or None, default None
 *    Used along with ``tag_field`` for configuring tagged union support. If
 *    either are non-None, then the struct is considered "tagged". In this case,
 *    an extra field (the ``tag_field``) and value (the ``tag``) are added to the
 *    encoded message, which can be used to differentiate message types during
 *    decoding.
 *
 *    Set ``tag=True`` to enable the default tagged configuration (``tag_field``
 *    is ``"type"``, ``tag`` is the class name). Alternatively, you can provide
 *    a string (or less commonly int) value directly to be used as the tag
 *    (e.g. ``tag="my-tag-value"``).``tag`` can also be passed a callable that
 *    takes the class qualname and returns a valid tag value (e.g.
 *    ``tag=str.lower``). See the docs for more information.
 * tag_field: str or None, default None
 *    The field name to use for tagged union support. If ``tag`` is non-None,
 *    then this defaults to ``"type"``. See the ``tag`` docs above for more
 *    information.
 * rename: str, mapping, callable, or None, default None
 *    Controls renaming the field names used when encoding/decoding the struct.
 *    May be one of ``"lower"``, ``"upper"``, ``"camel"``, ``"pascal"``, or
 *    ``"kebab"`` to rename in lowercase, UPPERCASE, camelCase, PascalCase,
 *    or kebab-case respectively. May also be a mapping from field names to the
 *    renamed names (missing fields are not renamed). Alternatively, may be a
 *    callable that takes the field name and returns a new name or ``None`` to
 *    not rename that field. Default is ``None`` for no field renaming.
 * repr_omit_defaults: bool, default False
 *    Whether fields should be omitted from the generated repr if the
 *    corresponding value is the default for that field.
 * array_like: bool, default False
 *    If True, this struct type will be treated as an array-like type during
 *    encoding/decoding, rather than a dict-like type (the default). This may
 *    improve performance, at the cost of a more inscrutable message encoding.
 * gc: bool, default True
 *    Whether garbage collection is enabled for this type. Disabling this *may*
 *    help reduce GC pressure, but will prevent reference cycles composed of only
 *    ``gc=False`` from being collected. It is the user's responsibility to ensure
 *    that reference cycles don't occur when setting ``gc=False``.
 * weakref: bool, default False
 *    Whether instances of this type support weak references. Defaults to False.
 * dict: bool, default False
 *    Whether instances of this type will include a ``__dict__``. Setting this to
 *    True will allow adding additional undeclared attributes to a struct instance,
 *    which may be useful for holding private runtime state. Defaults to False.
 * cache_hash: bool, default False
 *    If enabled, the hash of a frozen struct instance will be computed at most
 *    once, and then cached on the instance for further reuse. For expensive
 *    hash values this can improve performance at the cost of a small amount of
 *    memory usage.
 *
 * Examples
 * --------
 * Here we define a new `Struct` type for describing a dog. It has three fields;
 * two required and one optional.
 *
 * >>> class Dog(Struct):
 * ...     name: str
 * ...     breed: str
 * ...     is_good_boy: bool = True
 * ...
 * >>> Dog('snickers', breed='corgi')
 * Dog(name='snickers', breed='corgi', is_good_boy=True)
 *
 * Additional struct options can be set as part of the class definition. Here
 * we define a new `Struct` type for a frozen `Point` object.
 *
 * >>> class Point(Struct, frozen=True):
 * ...     x: float
 * ...     y: float
 * ...
 * >>> {Point(1.5, 2.0): 1}  # frozen structs are hashable
 * {Point(x=1.5, y=2.0): 1}
 */
export interface TapeRow {
  readonly atMs: number;
  readonly venue: string;
  readonly side: string;
  readonly price: number;
  readonly usd: number;
  readonly priceKind: string;
  readonly coverage: string;
}

/**
 * Realised liquidations, newest last; the first message holds the recent past.
 */
export interface Tape {
  readonly t: "tape";
  readonly base: string;
  readonly rows: readonly TapeRow[];
}

/**
 * A base class for defining efficient serializable objects.
 *
 * Fields are defined using type annotations. Fields may optionally have
 * default values, which result in keyword parameters to the constructor.
 *
 * Structs automatically define ``__init__``, ``__eq__``, ``__repr__``, and
 * ``__copy__`` methods. Additional methods can be defined on the class as
 * needed. Note that ``__init__``/``__new__`` cannot be overridden, but other
 * methods can. A tuple of the field names is available on the class via the
 * ``__struct_fields__`` attribute if needed.
 *
 * Additional class options can be enabled by passing keywords to the class
 * definition (see example below). These configuration options may also be
 * inspected at runtime through the ``__struct_config__`` attribute.
 *
 * Configuration
 * -------------
 * frozen: bool, default False
 *    Whether instances of this type are pseudo-immutable. If true, attribute
 *    assignment is disabled and a corresponding ``__hash__`` is defined.
 * order: bool, default False
 *    If True, ``__lt__``, `__le__``, ``__gt__``, and ``__ge__`` methods
 *    will be generated for this type.
 * eq: bool, default True
 *    If True (the default), an ``__eq__`` method will be generated for this
 *    type. Set to False to compare based on instance identity alone.
 * kw_only: bool, default False
 *    If True, all fields will be treated as keyword-only arguments in the
 *    generated ``__init__`` method. Default is False.
 * omit_defaults: bool, default False
 *    Whether fields should be omitted from encoding if the corresponding value
 *    is the default for that field. Enabling this may reduce message size, and
 *    often also improve encoding & decoding performance.
 * forbid_unknown_fields: bool, default False
 *    If True, an error is raised if an unknown field is encountered while
 *    decoding structs of this type. If False (the default), no error is raised
 *    and the unknown field is skipped.
 * tag: str, int, bool, callable, or None, default None
 *    Used along with ``tag_field`` for configuring tagged union support. If
 *    either are non-None, then the struct is considered "tagged". In this case,
 *    an extra field (the ``tag_field``) and value (the ``tag``) are added to the
 *    encoded message, which can be used to differentiate message types during
 *    decoding.
 *
 *    Set ``tag=True`` to enable the default tagged configuration (``tag_field``
 *    is ``"type"``, ``tag`` is the class name). Alternatively, you can provide
 *    a string (or less commonly int) value directly to be used as the tag
 *    (e.g. ``tag="my-tag-value"``).``tag`` can also be passed a callable that
 *    takes the class qualname and returns a valid tag value (e.g.
 *    ``tag=str.lower``). See the docs for more information.
 * tag_field: str or None, default None
 *    The field name to use for tagged union support. If ``tag`` is non-None,
 *    then this defaults to ``"type"``. See the ``tag`` docs above for more
 *    information.
 * rename: str, mapping, callable, or None, default None
 *    Controls renaming the field names used when encoding/decoding the struct.
 *    May be one of ``"lower"``, ``"upper"``, ``"camel"``, ``"pascal"``, or
 *    ``"kebab"`` to rename in lowercase, UPPERCASE, camelCase, PascalCase,
 *    or kebab-case respectively. May also be a mapping from field names to the
 *    renamed names (missing fields are not renamed). Alternatively, may be a
 *    callable that takes the field name and returns a new name or ``None`` to
 *    not rename that field. Default is ``None`` for no field renaming.
 * repr_omit_defaults: bool, default False
 *    Whether fields should be omitted from the generated repr if the
 *    corresponding value is the default for that field.
 * array_like: bool, default False
 *    If True, this struct type will be treated as an array-like type during
 *    encoding/decoding, rather than a dict-like type (the default). This may
 *    improve performance, at the cost of a more inscrutable message encoding.
 * gc: bool, default True
 *    Whether garbage collection is enabled for this type. Disabling this *may*
 *    help reduce GC pressure, but will prevent reference cycles composed of only
 *    ``gc=False`` from being collected. It is the user's responsibility to ensure
 *    that reference cycles don't occur when setting ``gc=False``.
 * weakref: bool, default False
 *    Whether instances of this type support weak references. Defaults to False.
 * dict: bool, default False
 *    Whether instances of this type will include a ``__dict__``. Setting this to
 *    True will allow adding additional undeclared attributes to a struct instance,
 *    which may be useful for holding private runtime state. Defaults to False.
 * cache_hash: bool, default False
 *    If enabled, the hash of a frozen struct instance will be computed at most
 *    once, and then cached on the instance for further reuse. For expensive
 *    hash values this can improve performance at the cost of a small amount of
 *    memory usage.
 *
 * Examples
 * --------
 * Here we define a new `Struct` type for describing a dog. It has three fields;
 * two required and one optional.
 *
 * >>> class Dog(Struct):
 * ...     name: str
 * ...     breed: str
 * ...     is_good_boy: bool = True
 * ...
 * >>> Dog('snickers', breed='corgi')
 * Dog(name='snickers', breed='corgi', is_good_boy=True)
 *
 * Additional struct options can be set as part of the class definition. Here
 * we define a new `Struct` type for a frozen `Point` object.
 *
 * >>> class Point(Struct, frozen=True):
 * ...     x: float
 * ...     y: float
 * ...
 * >>> {Point(1.5, 2.0): 1}  # frozen structs are hashable
 * {Point(x=1.5, y=2.0): 1}
 */
export interface StreamRow {
  readonly venue: string;
  readonly stream: string;
  readonly state: string;
  readonly ageMs: number;
  readonly messages: number;
  readonly gaps: number;
  readonly resyncs: number;
  readonly errors: number;
  readonly detail: string;
}

/**
 * Base of all messages: tagged by class name, camelCase on the wire.
 */
export interface Health {
  readonly t: "health";
  readonly atMs: number;
  readonly streams: readonly StreamRow[];
  readonly unknown: Readonly<Record<string, number>>;
  readonly decodeErrors: number;
  readonly dropped: number;
  readonly stepUsP99: number;
  readonly notes: readonly string[];
}

/**
 * The request could not be served; said in words for a person.
 */
export interface Problem {
  readonly t: "problem";
  readonly code: string;
  readonly message: string;
}

/**
 * GET /api/v1/meta. source: live, demo, replay.
 */
export interface Meta {
  readonly name: string;
  readonly version: string;
  readonly source: string;
  readonly wireVersion: number;
  readonly serverMs: number;
}

/**
 * GET /api/v1/candles/{base}; rows [start_ms, open, high, low, close, volume], ascending.
 */
export interface Candles {
  readonly base: string;
  readonly intervalS: number;
  readonly rows: readonly (readonly [number, number, number, number, number, number])[];
}

/**
 * GET /api/v1/density/{base}. notional_usd[side][band][bin]; bin k covers
 * [exp((firstBin+k) binWidth), exp((firstBin+k+1) binWidth)). p10, p90 [side][bin] are the 80 %
 * interval of the sum over bands; null for a column out of the history, which is also quantised
 * (quantisationError: largest relative error of a bin, 0 when exact).
 */
export interface Density {
  readonly base: string;
  readonly venue: string;
  readonly atMs: number;
  readonly mark: number;
  readonly binWidth: number;
  readonly firstBin: number;
  readonly bins: number;
  readonly notionalUsd: readonly (readonly (readonly number[])[])[];
  readonly p10: readonly (readonly number[])[] | null;
  readonly p90: readonly (readonly number[])[] | null;
  readonly outsideUsd: readonly [number, number];
  readonly openInterestUsd: number;
  readonly forcedShare: number;
  readonly confidence: number;
  readonly reasons: readonly string[];
  readonly quantisationError: number;
}

/**
 * GET /api/v1/value/{base}: what the crosshair reads. usd[side][band] of the bin [low, high)
 * of the column [columnStartMs, columnEndMs), as known at asOfMs; p10, p90 by side or null.
 */
export interface Value {
  readonly base: string;
  readonly venue: string;
  readonly atMs: number;
  readonly price: number;
  readonly columnStartMs: number;
  readonly columnEndMs: number;
  readonly asOfMs: number;
  readonly mark: number;
  readonly low: number;
  readonly high: number;
  readonly usd: readonly [readonly [number, number, number], readonly [number, number, number]];
  readonly p10: readonly [number, number] | null;
  readonly p90: readonly [number, number] | null;
  readonly quantisationError: number;
}

export type ClientMessage = Subscribe | Unsubscribe | Ping;

export type ServerMessage = Hello | Pong | Market | CandleRow | Clusters | Ladder | Tape | Health | Problem;
