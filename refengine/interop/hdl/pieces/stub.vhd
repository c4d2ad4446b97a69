-- The device under test: yours.  On each stream a word passes at a rising edge of the clock with valid and ready, and a word
-- that is offered stays until it is taken.  layer_pkg has the layer's numbers and the files of its constants.
--
--   x  the codes that the layer reads, as the pack packs them: X_WORDS words of X_LANES codes an image
--   r  the codes of its residual likewise; without one (HAS_RESIDUAL) nothing comes
--   y  the results in the order y, x, channel: LANES of them a beat, the first in the low bits.  What you do not have of
--      them (accumulator, total: what is rounded) goes from the ports here and, with its lines, from testbench.vhd.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use work.layer_pkg.all;

entity dut is
  port (
    clock         : in  std_logic;
    reset         : in  std_logic;  -- high for the first two clocks
    x_valid       : in  std_logic;
    x_ready       : out std_logic;
    x_word        : in  std_logic_vector(X_WORD_W - 1 downto 0);
    r_valid       : in  std_logic;
    r_ready       : out std_logic;
    r_word        : in  std_logic_vector(R_WORD_W - 1 downto 0);
    y_accumulator : out std_logic_vector(LANES * ACC_W - 1 downto 0);    --: accumulator
    y_total       : out std_logic_vector(LANES * TOTAL_W - 1 downto 0);  --: total
    y_code        : out std_logic_vector(LANES * CODE_W - 1 downto 0);   --: code
    y_valid       : out std_logic;
    y_ready       : in  std_logic
  );
end entity;

architecture rtl of dut is
begin
  x_ready <= '0';
  r_ready <= '0';
  y_valid <= '0';
  y_accumulator <= (others => '0');  --: accumulator
  y_total <= (others => '0');  --: total
  y_code <= (others => '0');  --: code
end architecture;
