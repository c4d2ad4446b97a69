-- A ternary convolution, as refengine's contract has it (docs/contract.md, sections Conv and Requantize):
--
--   sum[g]      = sum over cluster g and the kernel of +x, -x or nothing     (weight 01: +x, 11: -x, 00: nothing)
--   accumulator = bias[o] + sum over g of scale[o, g] * sum[g]
--   total       = accumulator * multiplier[o] + (residual << residual_shift[o])
--   code        = clip((total + half) >> shift[o]),  half = 1 << shift[o] >> 1
--
-- An image and its residual are loaded; then each clock takes one cluster, and each result waits until it is taken.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use std.textio.all;
use work.layer_pkg.all;

entity dut is
  port (
    clock         : in  std_logic;
    reset         : in  std_logic;
    x_valid       : in  std_logic;
    x_ready       : out std_logic;
    x_word        : in  std_logic_vector(X_WORD_W - 1 downto 0);
    r_valid       : in  std_logic;
    r_ready       : out std_logic;
    r_word        : in  std_logic_vector(R_WORD_W - 1 downto 0);
    y_accumulator : out std_logic_vector(ACC_W - 1 downto 0);
    y_total       : out std_logic_vector(TOTAL_W - 1 downto 0);
    y_code        : out std_logic_vector(CODE_W - 1 downto 0);
    y_valid       : out std_logic;
    y_ready       : in  std_logic
  );
end entity;

architecture rtl of dut is
  -- ----------------------------------------------------------------------------------- constants, as the pack has them
  type numbers_t is array (natural range <>) of integer;

  function value(word : std_logic_vector; is_signed : boolean) return integer is
  begin
    if is_signed then
      return to_integer(signed(word));
    end if;
    return to_integer(unsigned(word));
  end function;

  -- Words of `lanes` integers of `bits` bits each, from one of the pack's files.
  impure function numbers(path : string; words, word_bits, lanes, lane_bits, bits : natural; is_signed : boolean)
    return numbers_t is
    file lines : text;
    variable row : line;
    variable word : std_logic_vector(word_bits - 1 downto 0);
    variable lane : std_logic_vector(bits - 1 downto 0);
    variable result : numbers_t(0 to words * lanes - 1) := (others => 0);
  begin
    if path = "" then
      return result;
    end if;
    file_open(lines, path, read_mode);
    for i in 0 to words - 1 loop
      readline(lines, row);
      hread(row, word);
      for k in 0 to lanes - 1 loop
        lane := word(k * lane_bits + bits - 1 downto k * lane_bits);
        result(i * lanes + k) := value(lane, is_signed);
      end loop;
    end loop;
    return result;
  end function;

  constant weights : numbers_t := numbers(WEIGHT_FILE, WEIGHT_WORDS, WEIGHT_WORD_W, WEIGHT_LANES, WEIGHT_LANE_W, 2, true);
  constant scales : numbers_t := numbers(SCALE_FILE, SCALE_WORDS, SCALE_WORD_W, 1, SCALE_LANE_W, SCALE_W, false);
  constant biases : numbers_t := numbers(BIAS_FILE, BIAS_WORDS, BIAS_WORD_W, 1, BIAS_LANE_W, BIAS_W, true);
  constant multipliers : numbers_t :=  -- one for all channels, or one each
    numbers(MULTIPLIER_FILE, MULTIPLIER_WORDS, MULTIPLIER_WORD_W, 1, MULTIPLIER_LANE_W, MULTIPLIER_W, false);
  constant shifts : numbers_t := numbers(SHIFT_FILE, SHIFT_WORDS, SHIFT_WORD_W, 1, SHIFT_LANE_W, SHIFT_W, false);
  constant residual_shifts : numbers_t :=
    numbers(RESIDUAL_SHIFT_FILE, RESIDUAL_SHIFT_WORDS, RESIDUAL_SHIFT_WORD_W, 1, RESIDUAL_SHIFT_LANE_W, SHIFT_W, false);

  -- ------------------------------------------------------------------------------------------------------------- state
  type state_t is (LOAD, ADD, SEND);
  signal state : state_t := LOAD;
  signal x_count, r_count : natural := 0;
  signal accumulator : signed(ACC_W - 1 downto 0) := (others => '0');
  signal o : natural := 0;
  signal residual : integer := 0;
begin
  x_ready <= '1' when state = LOAD and x_count < X_WORDS else '0';
  r_ready <= '1' when state = LOAD and r_count < R_WORDS and HAS_RESIDUAL /= 0 else '0';
  y_valid <= '1' when state = SEND else '0';

  process (clock)
    variable codes : numbers_t(0 to X_WORDS * X_LANES - 1);
    variable residuals : numbers_t(0 to R_WORDS * R_LANES - 1);
    variable y, x, g : natural := 0;
    variable row, column, code_at, weight_at, sum : integer;
    variable term : signed(ACC_W + SCALE_W downto 0);
  begin
    if rising_edge(clock) then
      if reset = '1' then
        state <= LOAD;
        x_count <= 0;
        r_count <= 0;
      else
        case state is
          when LOAD =>
            if x_valid = '1' and x_ready = '1' then
              for lane in 0 to X_LANES - 1 loop
                codes(x_count * X_LANES + lane) :=
                  value(x_word(lane * X_LANE_W + CODE_W - 1 downto lane * X_LANE_W), INPUT_SIGNED /= 0);
              end loop;
              x_count <= x_count + 1;
            end if;
            if r_valid = '1' and r_ready = '1' then
              for lane in 0 to R_LANES - 1 loop
                residuals(r_count * R_LANES + lane) :=
                  value(r_word(lane * R_LANE_W + CODE_W - 1 downto lane * R_LANE_W), RESIDUAL_SIGNED /= 0);
              end loop;
              r_count <= r_count + 1;
            end if;
            if x_count = X_WORDS and (HAS_RESIDUAL = 0 or r_count = R_WORDS) then
              state <= ADD;
            end if;

          when ADD =>
            sum := 0;
            for ky in 0 to KERNEL_H - 1 loop
              for kx in 0 to KERNEL_W - 1 loop
                row := y * STRIDE_H + ky - PAD_TOP;
                column := x * STRIDE_W + kx - PAD_LEFT;
                code_at := (row * IN_WIDTH + column) * INPUTS + g * CLUSTER;
                weight_at := o * WEIGHT_STEP_O + g * CLUSTER * WEIGHT_STEP_I + ky * WEIGHT_STEP_H + kx * WEIGHT_STEP_W;
                if row >= 0 and row < IN_HEIGHT and column >= 0 and column < IN_WIDTH then
                  for lane in 0 to CLUSTER - 1 loop
                    if g * CLUSTER + lane < INPUTS then
                      case weights(weight_at + lane * WEIGHT_STEP_I) is
                        when 1 => sum := sum + codes(code_at + lane);
                        when -1 => sum := sum - codes(code_at + lane);
                        when others => null;
                      end case;
                    end if;
                  end loop;
                end if;
              end loop;
            end loop;
            term := to_signed(sum, ACC_W) * to_signed(scales(o * CLUSTERS + g), SCALE_W + 1);
            if g = 0 then
              accumulator <= to_signed(biases(o), ACC_W) + term(ACC_W - 1 downto 0);
            else
              accumulator <= accumulator + term(ACC_W - 1 downto 0);
            end if;
            g := g + 1;
            if g = CLUSTERS then
              g := 0;
              if HAS_RESIDUAL /= 0 then
                residual <= residuals((y * OUT_WIDTH + x) * OUTPUTS + o);
              end if;
              state <= SEND;
            end if;

          when SEND =>
            if y_ready = '1' then
              state <= ADD;
              o <= o + 1;
              if o = OUTPUTS - 1 then
                o <= 0;
                x := x + 1;
                if x = OUT_WIDTH then
                  x := 0;
                  y := y + 1;
                  if y = OUT_HEIGHT then
                    y := 0;
                    x_count <= 0;
                    r_count <= 0;
                    state <= LOAD;
                  end if;
                end if;
              end if;
            end if;
        end case;
      end if;
    end if;
  end process;

  -- --------------------------------------------------------------------------------------------------------- requantize
  process (all)
    constant ROUND_W : positive := maximum(TOTAL_W, SHIFT_MAX) + 2;
    variable shift : natural;
    variable product : signed(ACC_W + MULTIPLIER_W downto 0);
    variable total : signed(TOTAL_W - 1 downto 0);
    variable half, rounded : signed(ROUND_W - 1 downto 0);
  begin
    shift := shifts(o mod SHIFT_WORDS);
    product := accumulator * signed('0' & std_logic_vector(to_unsigned(multipliers(o mod MULTIPLIER_WORDS), MULTIPLIER_W)));
    total := resize(product, TOTAL_W)
      + shift_left(to_signed(residual, TOTAL_W), residual_shifts(o mod RESIDUAL_SHIFT_WORDS));
    half := shift_right(shift_left(to_signed(1, ROUND_W), shift), 1);
    rounded := shift_right(resize(total, ROUND_W) + half, shift);
    if rounded < CLIP_LO then
      rounded := to_signed(CLIP_LO, ROUND_W);
    elsif rounded > CLIP_HI then
      rounded := to_signed(CLIP_HI, ROUND_W);
    end if;
    y_accumulator <= std_logic_vector(accumulator);
    y_total <= std_logic_vector(total);
    y_code <= std_logic_vector(rounded(CODE_W - 1 downto 0));
  end process;
end architecture;
